"""What a run leaves for its report beside metrics: times, memory, evidence, the page.

All of it is written in one thread off the step's way, and none of it ever stops a run.
The page is made again at evaluations as long as that costs under 1 % of the time. Knows
files and clocks; what the page shows is `trainer/report/`.
"""

import contextlib
import datetime
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from trainer import evidence, files, footprint, rundir
from trainer.phases import Phases
from trainer.screen import warn

SHARE = 0.01  # of a run's time that its page may take while it lives
FIRST = 0.5  # seconds that the first page is taken to cost


class Chronicle(contextlib.AbstractContextManager):
    """Keeps the record of one start of a run; at its end makes the page a last time.

        with Chronicle(directory, phases) as chronicle:  # around lock and log
            chronicle.begin(step, facts)
            with chronicle.timed('evaluation'): ...
            chronicle.evaluated(step, evidence)

    Attributes:
      quiet: keeps nothing, as all processes but the first.
    """

    def __init__(self, directory: pathlib.Path, phases: Phases, quiet: bool = False):
        self.directory, self.phases, self.quiet = directory, phases, quiet
        self.entry: dict[str, object] | None = None
        self.spent, self.cost, self.failed = 0.0, FIRST, False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix='chronicle')

    def begin(self, step: int, facts: Mapping[str, object]) -> None:
        """Notes that steps begin; only then there will be a page.

        Args:
          step: from which the run goes.
          facts: what is known of it, as JSON: 'devices', 'flops_per_step' and so on.
        """
        if self.quiet or self.entry is not None:
            return
        known = sum(self.phases.seconds.values())
        self.phases.add('other', max(0.0, self.phases.total - known))
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        self.entry = {'started': now, 'from_step': step, 'step': step, **facts}
        self._submit(self._write_times)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Counts the seconds inside as a phase that needs no line on the screen."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.phases.add(name, time.perf_counter() - began)

    def evaluated(
        self, step: int, found: Mapping[str, Callable[[], Mapping[str, object]]]
    ) -> None:
        """Keeps what an evaluation has shown, and refreshes the page if there is time.

        Args:
          step: of the weights.
          found: by name ('val', 'test'), functions that give the arrays.
        """
        if self.entry is None:
            return
        self.entry['step'] = max(step, self.entry['step'])
        for name, make in found.items():
            self._submit(lambda name=name, make=make: self._keep(name, step, make))
        if self.spent + self.cost <= SHARE * self.phases.total:
            self.spent += self.cost
            self._submit(self._write_times)
            self._submit(self._write_page)

    def __exit__(self, *error) -> None:
        self._pool.shutdown(wait=True)
        if self.entry is not None:
            self._guarded(self._write_times)
            self._guarded(self._write_page)
        self.phases.restart()

    def _keep(self, name: str, step: int, make: Callable) -> None:
        arrays = make()
        if arrays:
            evidence.write(self.directory, name, {'step': step, **arrays})

    def _write_times(self) -> None:
        """This start's times so far, after those of earlier starts."""
        seconds, total = dict(self.phases.seconds), self.phases.total
        seconds['steps'] = max(0.0, total - sum(seconds.values()))
        entry = {**self.entry, 'seconds': seconds, 'memory': footprint.memory()}
        entry['report'] = self.spent
        path = self.directory / rundir.TIMES
        earlier = files.read_json(path) if path.exists() else []
        starts = [one for one in earlier if one['started'] != entry['started']]
        files.write_json(path, [*starts, entry])

    def _write_page(self) -> None:
        from trainer.report.write import write_report

        began = time.perf_counter()
        write_report(self.directory)
        self.spent += time.perf_counter() - began - self.cost
        self.cost = time.perf_counter() - began

    def _submit(self, work: Callable[[], None]) -> None:
        self._pool.submit(self._guarded, work)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Does what may fail without harm to the run; says so once."""
        try:
            work()
        except Exception as error:
            if not self.failed:
                self.failed = True
                _complain(self.directory, error)


def write_page(directory: pathlib.Path) -> None:
    """Writes the page of a run, or warns that it could not."""
    try:
        from trainer.report.write import write_report

        write_report(directory)
    except Exception as error:
        _complain(directory, error)


def _complain(directory: pathlib.Path, error: Exception) -> None:
    warn(
        f'The report of {directory} could not be made ({type(error).__name__}: '
        f'{error}); the run goes on, and `python main.py report {directory}` tries '
        f'again.'
    )
