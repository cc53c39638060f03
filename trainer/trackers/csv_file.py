"""The metrics of a run as a table that spreadsheets open: metrics.csv.

Promises the rows of metrics.jsonl, to the digit, whatever has interrupted the run.
"""

import csv
import io
from collections.abc import Iterable, Sequence

import gin

from trainer import files
from trainer.trackers.start import Start
from trainer.writers import Scalars, TextWriter

FILE = 'metrics.csv'


@gin.register
class CsvWriter(TextWriter):
    """Writes `metrics.csv` into the run directory: a row a line, a column a name.

    A name that comes up later is a further column to the right, empty in earlier rows:
    the file is then written anew. "No data" and what is not finite are empty cells.
    """

    def __init__(self, start: Start):
        """Writes what metrics.jsonl holds of earlier starts, and goes on from there."""
        self._path = start.directory / FILE
        self._columns = ['step']
        self._rewrite(start.record)

    def write_scalars(self, step: int, scalars: Scalars) -> None:
        """Appends a row."""
        row = {'step': int(step), **files.plain(scalars)}
        if self._file.closed or row.keys() - set(self._columns):
            self._file.close()
            self._rewrite([*self._rows(), row])
        else:
            self._file.write(_text([self._cells(row)]))

    def _rows(self) -> Iterable[dict[str, str]]:
        with open(self._path, encoding='utf-8', newline='') as file:
            return list(csv.DictReader(file))

    def _rewrite(self, rows: Sequence[dict]) -> None:
        """The whole file anew, with the columns that the rows ask for."""
        names = [name for row in rows for name in row]
        self._columns = list(dict.fromkeys([*self._columns, *names]))
        lines = [self._columns, *map(self._cells, rows)]
        files.write_text(self._path, _text(lines))
        kind = {'encoding': 'utf-8', 'newline': '', 'buffering': 1}
        self._file = open(self._path, 'a', **kind)  # noqa: SIM115

    def _cells(self, row: dict) -> list:
        return [row.get(name) for name in self._columns]


def _text(rows: Iterable[Sequence]) -> str:
    """Rows as CSV; a number has the fewest digits that read back to it."""
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue()
