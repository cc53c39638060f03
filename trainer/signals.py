"""Ctrl-C, SIGTERM and SIGUSR1 become a flag that every loop polls.

A second Ctrl-C leaves at once. Knows nothing of what is interrupted.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

SAVING = 'finishing this step, then saving'
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


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
        said = f'\n{self.name}: {self._then} (Ctrl-C again leaves at once)\n'
        # Not print: the signal may have come while the main thread was printing.
        with contextlib.suppress(OSError, ValueError):  # a screen that has gone
            os.write(sys.stderr.fileno(), said.encode())


@contextlib.contextmanager
def stop_on_signals(
    then: str = SAVING,
) -> Iterator[Stop]:
    """Handles the stopping signals inside the block, as before them afterwards."""
    stop = Stop(then)
    try:
        before = {number: signal.signal(number, stop) for number in STOPPING}
    except ValueError:  # not the main thread (a notebook's worker): nobody signals it
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
