"""What a run says to a person: one voice, silent on all processes but the first.

Lines, phases with their seconds, a progress bar, tables, and the log of it all. Knows
nothing of training.
"""

import contextlib
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator, Sequence

from trainer import logfile, processes, rundir
from trainer.phases import Phases
from trainer.progress import ProgressBar
from trainer.screen import log, say, warn

NARROWEST = 8  # characters of a column that are never cut


class Console:
    """The voice of a run.

    Attributes:
      quiet: says and logs nothing; times phases all the same. So are all processes
        but the first, each of which has a log of its own.
      phases: `with console.phases('compile'):` says and times a phase.
    """

    def __init__(self, quiet: bool = False, started: float | None = None):
        """Begins to count at `started`, in `time.perf_counter()`'s seconds, or now."""
        self.quiet = quiet = quiet or not processes.is_main()
        self.phases = Phases(quiet, time.perf_counter() if started is None else started)

    def say(self, message: str) -> None:
        """Writes a line, or several, to stdout and into the log."""
        if not self.quiet:
            say(message)

    def warn(self, message: str) -> None:
        """Writes one line to stderr and into the log."""
        if not self.quiet:
            warn(message)

    def bar(
        self, total: int, start: int = 0, steps_per_epoch: int | None = None
    ) -> ProgressBar:
        """A bar over `total` steps of a run that goes on from `start`."""
        return ProgressBar(
            total, start, steps_per_epoch=steps_per_epoch, quiet=self.quiet
        )

    @contextlib.contextmanager
    def log_to(self, directory: str | os.PathLike) -> Iterator[None]:
        """Logs into a run directory, also the traceback of an error that ends it.

        Raises:
          OSError: the log cannot be opened.
        """
        if self.quiet and processes.is_main():
            yield
            return
        logfile.setup_log(pathlib.Path(directory) / rundir.log_of(processes.index()))
        try:
            yield
        except BaseException:
            log.error('the run ended here', exc_info=True)
            raise
        finally:
            logfile.close_log()


def table(
    rows: Sequence[Sequence[object]], header: Sequence[str], width: int | None = None
) -> str:
    """Rows under a header as aligned text: numbers to the right, None as '-'.

    Args:
      rows: one value a column; floats are shown with four decimals.
      header: one word a column.
      width: characters there are; default the terminal's, without end where there is
        none. Text that is too wide is cut, the widest column first, but the first
        column, which names the rows, never so far that two of them read alike.
    """
    width = width or shutil.get_terminal_size((sys.maxsize, 24)).columns
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    columns = list(zip(*cells, strict=True))
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    least = [_told_apart(columns[0]), *[NARROWEST] * (len(columns) - 1)]
    widths = [max(map(len, column)) for column in columns]
    widths = _fit(widths, least, right, width)
    lines = []
    for row in cells:
        cut = [_cut(cell, size) for cell, size in zip(row, widths, strict=True)]
        aligned = [
            cell.rjust(size) if to_right else cell.ljust(size)
            for cell, size, to_right in zip(cut, widths, right, strict=True)
        ]
        lines.append('  '.join(aligned).rstrip())
    return '\n'.join(lines)


def _fit(
    widths: list[int], least: list[int], numeric: list[bool], available: int
) -> list[int]:
    """Narrows columns of text, the widest first, until a line fits."""
    widths = list(widths)
    text = [i for i, fixed in enumerate(numeric) if not fixed]
    while sum(widths) + 2 * (len(widths) - 1) > available:
        wide = [i for i in text if widths[i] > least[i]]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _told_apart(cells: Sequence[str]) -> int:
    """The width from which on cells that differ read differently."""
    width, different = max(map(len, cells)), len({*cells})
    while width > NARROWEST and len({_cut(c, width - 1) for c in cells}) == different:
        width -= 1
    return width


def _cut(cell: str, size: int) -> str:
    return cell if len(cell) <= size else cell[: size - 2] + '..'


def _cell(value: object) -> str:
    if value is None:
        return '-'
    return f'{value:.4f}' if isinstance(value, float) else str(value)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float)
