"""What a run is busy with before its first steps: a line for each phase, never silent.

Knows a clock and the screen, nothing of training.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

from trainer.screen import format_seconds, log, say, screen

HEARTBEAT_SECONDS = 10


class Phases:
    """Says what a run is busy with before its first steps, and for how long.

        phases = Phases()
        with phases('compile'):        # compile ... 10 s ... 17.3 s
            ...

    While a progress bar is drawn, only a phase that takes long is mentioned.

    Attributes:
      seconds: of each phase so far; of one that came twice, the sum.
    """

    def __init__(self, quiet: bool = False, started: float | None = None):
        """Begins to count.

        Args:
          quiet: measure and say nothing, as all processes but the first do.
          started: `time.perf_counter()` from which `total` counts; default now.
        """
        self.quiet = quiet
        self.started = time.perf_counter() if started is None else started
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measures what runs inside `with`."""
        started = time.perf_counter()
        line = contextlib.nullcontext() if self.quiet else PhaseLine(name)
        try:
            with line:
                yield
        finally:
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Counts what was measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def restart(self) -> None:
        """Counts from here on, for another run of the same process."""
        self.started, self.seconds = time.perf_counter(), {}

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def say_total(self, what: str = 'ready in') -> None:
        """Writes the seconds since the start."""
        if not self.quiet:
            say(f'{what} {format_seconds(self.total)}')


class PhaseLine(contextlib.AbstractContextManager):
    """The line of one phase; a thread adds the seconds while it lasts."""

    def __init__(self, name: str):
        self.name, self.head = name, f'{name} ...'
        self._done = threading.Event()
        self._mentioned = False

    def __enter__(self) -> 'PhaseLine':
        self._started = time.perf_counter()
        if screen.bar is None:
            screen.begin(self, self.head)
            self._mentioned = True
        self._pulse = threading.Thread(target=self._beat, daemon=True)
        self._pulse.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._done.set()
        self._pulse.join()
        seconds = format_seconds(time.perf_counter() - self._started)
        outcome = seconds if kind is None else f'failed after {seconds}'
        if self._mentioned:
            screen.go_on(self, f' {outcome}', self.head, end='\n')
        log.info('%s: %s', self.name, outcome)

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            self._mentioned = True
            seconds = format_seconds(round(time.perf_counter() - self._started))
            screen.go_on(self, f' {seconds} ...', self.head)
