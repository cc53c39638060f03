"""Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP become a flag that every loop polls.

A second Ctrl-C leaves at once. Knows nothing of what is interrupted.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from trainer import processes
from trainer.errors import Interrupted

SAVING = 'finishing this step, then saving'
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


class Stop:
    """True once a signal has asked the program to stop; `name` says which."""

    def __init__(self, then: str = SAVING):
        """`then` is what is said when the signal comes: what is still done."""
        self.name: str | None = None
        self._then = then

    def __bool__(self) -> bool:
        return self.name is not None

    def __call__(self, number: int, _frame) -> None:
        """The signal handler."""
        if number == signal.SIGINT and self:
            os._exit(128 + signal.SIGINT)
        self.name = signal.Signals(number).name
        self.say(self.name)

    def ask(self, why: str) -> None:
        """Stops as a signal does, for a reason of the program's own."""
        self.name = self.name or why

    def leave(self, step: int = 0) -> None:
        """Raises Interrupted if a signal has come; all up to the step is saved."""
        if self:
            done = f'saved at step {step:,}' if step else 'before the first step'
            raise Interrupted(f'{self.name}, {done}; the same command goes on')

    def say(self, name: str) -> None:
        """Says what is still done."""
        said = f'\n{name}: {self._then} (Ctrl-C again leaves at once)\n'
        # Not print: the signal may have come while the main thread was printing.
        with contextlib.suppress(OSError, ValueError):  # a screen that has gone
            os.write(sys.stderr.fileno(), said.encode())


class AgreedStop(Stop):
    """A stop that several processes come to at the same question, however it came.

    jax's own handler of SIGTERM tells all of them; the other signals are given to it.
    Every process must ask equally often. A handler of Python's for SIGTERM would take
    the place of jax's, and nobody would be told.
    """

    def __init__(self, then: str = SAVING):
        super().__init__(then)
        self._asked, self._signalled = 0, False

    def __bool__(self) -> bool:
        if self.name is None:
            from jax.experimental import multihost_utils

            self._asked += 1
            if multihost_utils.reached_preemption_sync_point(self._asked):
                self.name = signal.SIGTERM.name
        return self.name is not None

    def __call__(self, number: int, _frame) -> None:
        if number == signal.SIGINT and self._signalled:
            os._exit(128 + signal.SIGINT)
        self._signalled = True
        self.say(signal.Signals(number).name)
        os.kill(os.getpid(), signal.SIGTERM)

    def ask(self, why: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def heeded() -> list[int]:
    """The stopping signals; not the end of a terminal that `nohup` has us outlive."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [n for n in STOPPING if not ignored or n != signal.SIGHUP]


@contextlib.contextmanager
def stop_on_signals(
    then: str = SAVING,
) -> Iterator[Stop]:
    """Handles the stopping signals inside the block, as before them afterwards."""
    several = processes.count() > 1
    stop = AgreedStop(then) if several else Stop(then)
    handled = [n for n in heeded() if not several or n != signal.SIGTERM]
    try:
        before = {number: signal.signal(number, stop) for number in handled}
    except ValueError:  # not the main thread (a notebook's worker): nobody signals it
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
