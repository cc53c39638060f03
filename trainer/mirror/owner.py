"""Who publishes at an address: one directory at a time, as far as a bucket can tell.

A bucket has no locks. An owner writes an object again and again; whoever finds it
watches whether it changes, so that no two clocks are compared. Of two that begin in the
same moment both may get in: each looks again before every index, and one of them stops.
"""

import json
import secrets
import time
from collections.abc import Callable

from trainer.errors import Interrupted, UserError
from trainer.lock import is_gone, lease
from trainer.mirror.bucket import Bucket
from trainer.mirror.index import OWNER
from trainer.screen import say, warn

BEAT = 15  # seconds between two signs of life
SILENT = 60  # seconds without one after which an owner is taken for dead
FORGOTTEN = 3600  # seconds, by two clocks that may differ: nobody waits then
LOOK = 2  # seconds between two looks


class TakenOver(Exception):
    """Another directory publishes here now; the message says whose."""


class Owner:
    """This process as the owner of an address."""

    def __init__(self, bucket: Bucket, token: str):
        """Touches nothing.

        Args:
          bucket: at the address.
          token: of the directory.
        """
        self.bucket, self.token = bucket, token
        self.said = {**lease(), 'token': token, 'nonce': secrets.token_hex(8)}

    def there(self) -> dict | None:
        """Who was here last; None if nobody ever was. Raises BucketError."""
        content = self.bucket.read(OWNER)
        try:
            found = None if content is None else json.loads(content)
            return found if {'host', 'pid', 'since', 'nonce'} <= set(found) else None
        except (ValueError, TypeError):
            return None

    def is_free(self, there: dict | None) -> bool:
        """Whether nobody is here, as far as one look tells."""
        if there is None or there.get('left'):
            return True
        if time.time() - there.get('beaten', 0) > FORGOTTEN:
            return True
        near = 'token' if there.get('token') == self.token else 'boot'
        return there.get(near) == self.said.get(near) and is_gone(there)

    def claim(self, there: dict | None, stop: Callable[[], bool] = bool) -> None:
        """Takes the address from whoever was there last.

        Args:
          there: as `there()` gave it.
          stop: whether to wait no longer.

        Raises:
          UserError: an owner lives, or another came at the same moment.
          Interrupted: by `stop`.
          BucketError: an object cannot be read or written.
        """
        if not self.is_free(there):
            self._watch(there, stop)
        self._write()
        if not self._is_ours(self.there()):
            raise self._taken(self.there())

    def beat(self) -> None:
        """Gives a sign of life.

        Raises:
          TakenOver: somebody else is the owner now.
          BucketError: an object cannot be read or written.
        """
        there = self.there()
        if there is not None and not self._is_ours(there):
            raise TakenOver(who(there))
        self._write()

    def leave(self, nothing_there: bool = False) -> None:
        """Says goodbye, or takes the object away again. Errors as of `beat`."""
        there = self.there()
        if there is not None and not self._is_ours(there):
            raise TakenOver(who(there))
        if nothing_there:
            self.bucket.remove(OWNER)
        else:
            self._write(left=True)

    def _write(self, left: bool = False) -> None:
        now = {'beaten': time.time(), 'left': left}
        self.bucket.write(OWNER, json.dumps({**self.said, **now}).encode())

    def _is_ours(self, there: dict | None) -> bool:
        return there is not None and there['nonce'] == self.said['nonce']

    def _watch(self, there: dict, stop: Callable[[], bool]) -> None:
        """Waits until an owner gives a sign of life, or none for long enough."""
        say(
            f'{self.bucket.address} was last used by {who(there)}, who has not said '
            f'goodbye; watching for up to {SILENT} s whether that run still lives'
        )
        until = time.monotonic() + SILENT
        while time.monotonic() < until:
            time.sleep(LOOK)
            if stop():
                raise Interrupted('before the first step; the same command goes on')
            now = self.there()
            if self.is_free(now):
                return
            if now != there:
                raise self._taken(now)
        warn(f'{self.bucket.address} is taken over from {who(there)}, silent so long.')

    def _taken(self, there: dict | None) -> UserError:
        by = who(there) if there else 'another process'
        return UserError(
            f'{self.bucket.address} is in use by {by}. Wait for that run or stop it, '
            f'or give another --workdir.'
        )


def who(there: dict) -> str:
    """An owner, for people."""
    return f'process {there["pid"]} on {there["host"]} since {there["since"]}'
