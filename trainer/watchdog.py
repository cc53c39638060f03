"""What is hung ends itself: a run with its stacks in its log, exit code 70.

The loop says at every step that it lives; a thread counts the seconds since. Where even
Python's lock is held, the timer of `faulthandler` ends the process, with code 1. Each
process of a run watches itself, so one that waits for a lost peer ends too.
"""

import contextlib
import dataclasses
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Annotated

import gin
from annotated_types import Gt

from trainer.errors import INTERNAL_ERROR
from trainer.signals import Stop

USUAL = 20  # a step is not hung before it takes so many times as long as usual
REARM_SECONDS = 1.0  # re-arming the native timer costs 34 us: not at every step
NATIVE = 2  # times the limit, after which the native timer gives up on the thread


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Watchdog:
    """How long a run may say nothing before it is taken for hung.

    Attributes:
      step: seconds for a training step or a batch of evaluation; at least 20 times
        what steps usually take. None waits for ever.
      phase: seconds for anything else: compiling, restoring, the end of a save.
      grace: seconds from a signal to the end, for the step and the save that it asks
        for; less than what the machine grants shows what hung.
    """

    step: Annotated[float, Gt(0)] | None = 300
    phase: Annotated[float, Gt(0)] | None = 3600
    grace: Annotated[float, Gt(0)] | None = 600


class Watch:
    """Counts the seconds since the last sign of life.

    Args:
      limits: how many are allowed.
      log: an open file for the stacks.
      name: of the log, for the message; None where the log is the screen.
      stop: the signal that came, if one did; its `name` is read in the thread.
    """

    def __init__(
        self, limits: Watchdog, log, name: str | None = None, stop: Stop | None = None
    ):
        self.limits, self.log, self.name = limits, log, name
        self._stop, self._leave_by = stop, float('inf')
        self._usual = 0.0
        self._ended = threading.Event()
        self._native_at = self._stepped = 0.0
        self.enter('the start')

    def enter(self, what: str) -> None:
        """Something begins that may take as long as a phase."""
        self._stepped = 0.0
        self._arm(what, self.limits.phase)

    def beat(self, what: str) -> None:
        """A step is done, or a batch of evaluation, and the next begins."""
        now = time.monotonic()
        if self._stepped:
            self._usual += 0.1 * (now - self._stepped - self._usual)
        self._stepped = now
        limit = self.limits.step
        self._arm(what, limit and max(limit, USUAL * self._usual))

    def rest(self) -> None:
        """Somebody else is waited for, who may take as long as it takes."""
        self._stepped = 0.0
        self._arm('waiting', None)

    def watch(self) -> None:
        """Ends the process once a limit has passed; runs in a thread of its own."""
        last = time.monotonic()
        while not self._ended.wait(self._pause):
            now = time.monotonic()
            if now - last > 10 * self._pause + 1:  # the whole process was stopped
                self._deadline += now - last
                self._leave_by += now - last
            self._hurry(now)
            if now > self._leave_by:
                self._end(f'the end after {self._stop.name}', self.limits.grace)
            if now > self._deadline:
                self._end(*self._armed)
            last = now

    def close(self) -> None:
        """Watches no longer."""
        self._ended.set()
        faulthandler.cancel_dump_traceback_later()

    def _arm(self, what: str, limit: float | None) -> None:
        now = time.monotonic()
        changed = (what, limit) != getattr(self, '_armed', None)
        self._armed = what, limit
        self._deadline = now + (limit or float('inf'))
        self._pause = min(1.0, (limit or 1.0) / 4)
        if changed or now - self._native_at > REARM_SECONDS:
            self._native_at = now
            faulthandler.cancel_dump_traceback_later()
            if limit:
                native = NATIVE * limit
                faulthandler.dump_traceback_later(native, exit=True, file=self.log)

    def _hurry(self, now: float) -> None:
        """Counts the seconds of grace from the signal, once one has come."""
        asked = getattr(self._stop, 'name', None) is not None  # False never comes
        if asked and self.limits.grace and self._leave_by == float('inf'):
            self._leave_by = now + self.limits.grace

    def _end(self, what: str, limit: float) -> None:
        todo = 'its stacks stand above; the same command begins anew'
        if self.name:
            todo = f'its stacks are in {self.name}; the same command goes on'
        said = (
            f'error: {what} has taken over {limit:g} s and is taken for hung; {todo}.\n'
        )
        with contextlib.suppress(OSError):
            if self.name:
                self.log.write(said)
            self.log.flush()
            faulthandler.dump_traceback(self.log, all_threads=True)
        with contextlib.suppress(OSError):
            os.write(sys.__stderr__.fileno(), said.encode())
        os._exit(INTERNAL_ERROR)


_watch: Watch | None = None  # one a process, as the native timer is


@contextlib.contextmanager
def watched(
    limits: Watchdog, path: str | os.PathLike | None = None, stop: Stop | None = None
) -> Iterator[None]:
    """Watches what runs inside `with`; stacks go into the file, or else to stderr."""
    global _watch
    with contextlib.ExitStack() as stack:
        log = sys.__stderr__
        if path is not None:
            log = stack.enter_context(open(path, 'a', encoding='utf-8'))
        _watch = watch = Watch(limits, log, path and str(path), stop)
        threading.Thread(target=watch.watch, name='watchdog', daemon=True).start()
        try:
            yield
        finally:
            _watch = None
            watch.close()


def beat(what: str) -> None:
    """A sign of life: a step or a batch is done. Costs a microsecond."""
    if _watch is not None:
        _watch.beat(what)


def enter(what: str) -> None:
    """Something begins that may take longer than a step."""
    if _watch is not None:
        _watch.enter(what)


def rest() -> None:
    """Somebody else is waited for, until the next sign of life."""
    if _watch is not None:
        _watch.rest()
