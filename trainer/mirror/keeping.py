"""A run that has an address: fetched before it begins, published while it goes on.

Two threads beside the run do what takes time: one sends what is new, one gives signs of
life. Neither ever stops a step; what fails is said, counted and tried again.
"""

import contextlib
import pathlib
import shutil
import threading
import time
from collections.abc import Iterator

from trainer import processes, rundir
from trainer.errors import SaveFailed, TrainingFailed, UserError
from trainer.mirror import fetching, owner, record
from trainer.mirror.bucket import BucketError, retried
from trainer.mirror.index import checkpoints_of, step_of
from trainer.mirror.owner import Owner, TakenOver
from trainer.mirror.publishing import Publisher
from trainer.mirror.sides import Sides
from trainer.screen import say, warn
from trainer.signals import Stop

LOOK = 1  # seconds between two looks for what is new
FILES_SECONDS = 30  # between two publishings without a new checkpoint
LONGEST = 60  # seconds between two attempts
LAST_ATTEMPTS = 5  # once the run has ended


@contextlib.contextmanager
def mirrored(address: str, stop: Stop) -> Iterator[pathlib.Path]:
    """Inside, the run at an address lives in a directory and is published from there.

    Process 0 does all of it; the others are told the directory, which they must see.

    Args:
      address: such as 'gs://bucket/run'.
      stop: is asked to stop the run if somebody else takes the address over.

    Raises:
      UserError: the address cannot be used, somebody else runs there, or directory and
        bucket have gone different ways. Nothing new is there then.
      Interrupted: by `stop`, while it was watched whether somebody else runs there.
      SaveFailed: the run is done, but not all of it is in the bucket.
      TrainingFailed: somebody else has taken the address over.
    """
    if not processes.is_main():
        yield pathlib.Path(processes.told(None))
        return
    keeper = Keeper(Sides(address), stop)
    keeper.begin()
    try:
        yield pathlib.Path(processes.told(str(keeper.sides.place)))
    except Exception as error:
        keeper.end(error)
        raise
    except BaseException:  # somebody wants to leave at once
        keeper.abandon()
        raise
    else:
        keeper.end(None)


class Keeper:
    """Keeps a bucket like a directory, from `begin` to `end`.

    Attributes:
      failures: attempts that have failed.
      closing: set when the threads are to end.
    """

    def __init__(self, sides: Sides, stop: Stop):
        """Touches nothing."""
        self.sides, self.stop = sides, stop
        self.failures, self.closing = 0, threading.Event()
        self._lost: TakenOver | None = None
        self._threads = [
            threading.Thread(target=target, daemon=True, name='mirror')
            for target in (self._send, self._live)
        ]

    def begin(self) -> None:
        """Takes the address, and fetches what the directory needs to go on."""
        sides = self.sides
        remembered = sides.record()
        self.owner = Owner(sides.bucket, remembered.token)
        with sides.usable():
            there = retried(self.owner.there)
            names = retried(sides.bucket.names)
            if names and there is None and sides.index() is None:
                raise UserError(
                    f'{sides.address} holds {names[0]} and no run that was published '
                    f'there. Give an address where nothing is; a copied run goes on '
                    f'once it is on a disk.'
                )
            self.owner.claim(there, lambda: self.stop.name is not None)
            try:
                self._fetch(remembered)
            except Exception:
                self._leave()
                raise
        self.publisher = Publisher(sides.bucket, remembered, self.owner)
        self.publisher.clear(names)
        for thread in self._threads:
            thread.start()

    def end(self, error: Exception | None) -> None:
        """Publishes what is left to publish, and leaves the address.

        Args:
          error: that ended the run.

        Raises:
          SaveFailed: a run that is done cannot be published.
          TrainingFailed: somebody else has taken the address over.
        """
        self.closing.set()
        for thread in self._threads:
            thread.join()
        failure = None if self._lost else self._publish_last()
        if self._lost:
            raise TrainingFailed(
                f'{self.sides.address} was taken over by {self._lost}; what was '
                f'trained here since is in {self.sides.place} alone.'
            ) from error
        self._leave()
        if failure is None:
            return
        what = (
            f'{self.sides.address} is not what {self.sides.place} is: {failure} '
            f'(after {self.failures} failures)'
        )
        if error is None:
            then = 'Mend that; the same command publishes it and trains nothing again.'
            raise SaveFailed(what, then)
        warn(f'{what}; the same command publishes it.')

    def abandon(self) -> None:
        """Leaves the address as it is."""
        self.closing.set()
        self._leave()

    def _fetch(self, remembered: record.Record) -> None:
        """Brings the directory to what the bucket has, and says where it is."""
        sides, began = self.sides, time.perf_counter()
        before, index = set(checkpoints_of(sides.place)), sides.index()
        if index is not None:
            sides.bring(remembered, index, fetching.TO_TRAIN)
        else:
            remembered.index, remembered.elsewhere = None, ()
            sides.place.mkdir(parents=True, exist_ok=True)
            remembered.write()
        came = sorted(set(checkpoints_of(sides.place)) - before, key=step_of)
        seconds = time.perf_counter() - began
        fetched = f'; fetched {", ".join(came)} in {seconds:.1f} s' if came else ''
        say(f'{sides.address} lives in {sides.place}{fetched}')

    def _send(self) -> None:
        """Publishes what is new, until the run has ended."""
        published, in_a_row = 0.0, 0
        while not self.closing.wait(min(LOOK * 2**in_a_row, LONGEST)):
            late = time.monotonic() - published > FILES_SECONDS
            try:
                news = self.publisher.has_news()
                if not news and not (late and self.publisher.has_changed()):
                    continue
                self._publish()
            except TakenOver as other:
                return self._lose(other)
            except Exception as error:
                self._bear(error, in_a_row)
                in_a_row += 1
            else:
                if in_a_row:
                    say(f'{self.sides.address} is published again')
                published, in_a_row = time.monotonic(), 0

    def _live(self) -> None:
        """Gives signs of life, until the run has ended."""
        while not self.closing.wait(owner.BEAT):
            try:
                self.owner.beat()
            except TakenOver as other:
                return self._lose(other)
            except BucketError:
                continue  # whoever publishes says so

    def _publish(self, everything: bool = False) -> None:
        if rundir.is_run(self.sides.place):  # else it has not begun
            self.publisher.publish(everything)

    def _publish_last(self) -> str | None:
        """Publishes all there is; says why that cannot be done."""
        for attempt in range(LAST_ATTEMPTS):
            try:
                self._publish()
                return self._publish(everything=True)
            except TakenOver as other:
                self._lost = other
                return None
            except Exception as error:
                self._bear(error, attempt)
                failure = str(error)
            if attempt < LAST_ATTEMPTS - 1:
                time.sleep(LOOK * 2**attempt)
        return failure

    def _bear(self, error: Exception, in_a_row: int) -> None:
        """Counts a failure; the first in a row is said."""
        self.failures += 1
        if in_a_row == 0:
            warn(f'{self.sides.address} cannot be published: {error}; trying again')

    def _lose(self, other: TakenOver) -> None:
        """Another machine publishes here: the run is asked to stop."""
        if self._lost is None:
            self._lost = other
            warn(f'{self.sides.address} was taken over by {other}; stopping')
            self.stop.ask('taken over')

    def _leave(self) -> None:
        """Says goodbye; where no run has begun, nothing stays on either side."""
        begun = rundir.is_run(self.sides.place)
        with contextlib.suppress(BucketError, TakenOver):
            nothing = not begun and self.sides.index() is None
            self.owner.leave(nothing_there=nothing)
        if not begun and self.sides.place.is_dir():
            shown = [p for p in self.sides.place.iterdir() if p.name[0] != '.']
            if not shown:
                shutil.rmtree(self.sides.place, ignore_errors=True)
