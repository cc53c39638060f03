"""Reads a table of label columns; what cannot be read is named by its line.

Knows cells and what they mean as labels; no picture and no split.
"""

import codecs
import csv
import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from trainer.data.source import printable
from trainer.errors import UserError

DELIMITERS = ',;\t|'
TRUTH = {'0': 0.0, '1': 1.0, 'false': 0.0, 'true': 1.0, '0.0': 0.0, '1.0': 1.0}
NUMERIC = 0.9  # share of cells that must be numbers for a column to be one of numbers


@dataclasses.dataclass
class Table:
    """A table as text.

    Attributes:
      name: of the file, for messages.
      header: names of the columns, as they are written.
      rows: (line number, cells).
      problems: one line for each row that was left out.
    """

    name: str
    header: list[str]
    rows: list[tuple[int, list[str]]]
    problems: list[str]

    def column(self, number: int) -> list[str]:
        """The cells of a column."""
        return [cells[number] for _, cells in self.rows]

    def drop(self, bad: dict[int, str]) -> None:
        """Leaves out rows by their position; says why."""
        for position, reason in sorted(bad.items()):
            line = self.rows[position][0]
            self.problems.append(f'{self.name}, line {line}: {printable(reason)}')
        self.rows = [row for i, row in enumerate(self.rows) if i not in bad]


def read_table(path: str, default_header: Sequence[str]) -> Table:
    """A table with a header; without one (a first cell with a dot) `default_header`.

    Raises:
      UserError: there is no such file, or nothing in it.
    """
    name = printable(path)
    try:
        rows = _read_rows(path)
    except OSError as error:
        raise UserError(f'{name} cannot be read: {error.strerror}.') from error
    except (csv.Error, ValueError) as error:
        raise UserError(f'{name} is no table: {error}.') from error
    if not rows:
        raise UserError(f'{name} is empty; expected lines such as path,label.')
    header = [printable(cell.strip()) for cell in rows[0][1]]
    if '.' in header[0]:
        header = list(default_header)[: len(header)]
    else:
        rows = rows[1:]
    twice = [title for title in header if header.count(title) > 1]
    if twice:
        raise UserError(f'{name} has more than one column {twice[0]!r}; rename them.')
    table = Table(name, header, rows, [])
    table.drop(
        {
            position: f'{len(cells)} cells, but {len(header)} columns'
            for position, (_, cells) in enumerate(rows)
            if len(cells) != len(header)
        }
    )
    return table


def kind_of(columns: Sequence[Sequence[str]]) -> str:
    """What columns of cells are: 'label', 'labels' (several of 0 and 1) or 'target'."""
    cells = [cell for column in columns for cell in column if cell.strip()]
    numbers = [n for n in map(as_number, cells) if n is not None]
    if len(numbers) < NUMERIC * len(cells):
        return 'label'
    if len(columns) == 1:
        whole = all(n == int(n) for n in numbers if math.isfinite(n))
        return 'label' if whole else 'target'
    return 'labels' if all(n in (0, 1) for n in numbers) else 'target'


def as_number(cell: str) -> float | None:
    """The number in a cell, 'true' and 'false' among them; None if it is none."""
    cell = cell.strip().lower()
    if cell in TRUTH:
        return TRUTH[cell]
    try:
        return float(cell)
    except ValueError:
        return None


def bad_cells(kind: str, columns: Sequence[Sequence[str]], names) -> dict[int, str]:
    """Row -> what is wrong with its first bad cell, for labels of a kind."""
    bad = {}
    for name, column in zip(names, columns, strict=True):
        for position, cell in enumerate(column):
            if position not in bad and not _fits(kind, cell):
                expected = {'labels': '0 or 1', 'target': 'a finite number'}
                wanted = expected.get(kind, 'a class')
                bad[position] = f'{name} is {cell!r}; expected {wanted}'
    return bad


def encode(kind: str, columns: Sequence[Sequence[str]]) -> tuple[np.ndarray, tuple]:
    """Good cells as an array, and the names of the classes where they are 'label'."""
    if kind != 'label':
        values = [[as_number(cell) for cell in column] for column in columns]
        return np.array(values, np.float32).T, ()
    cells = [cell.strip() for cell in columns[0]]
    classes = sort_classes(set(cells))
    place = {name: number for number, name in enumerate(classes)}
    return np.array([place[cell] for cell in cells], np.int32), tuple(classes)


def sort_classes(names: set[str]) -> list[str]:
    """Numbers by their value, all else by their letters."""
    if all(as_number(name) is not None for name in names):
        return sorted(names, key=lambda name: (as_number(name), name))
    return sorted(names)


def _read_rows(path):
    """(line number, cells) of each line that is not blank."""
    options = {'newline': '', 'errors': 'surrogateescape'}
    with open(path, encoding=_encoding(path), **options) as file:
        first = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=max(DELIMITERS, key=first.count))
        numbered = ((reader.line_num, row) for row in reader)
        return [(line, row) for line, row in numbered if any(map(str.strip, row))]


def _encoding(path):
    """UTF-16 where a spreadsheet set its mark, else UTF-8."""
    with open(path, 'rb') as file:
        mark = file.read(2)
    wide = mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return 'utf-16' if wide else 'utf-8-sig'


def _fits(kind, cell):
    if kind == 'label':
        return cell.strip().lower() not in ('', 'nan')
    number = as_number(cell)
    if kind == 'labels':
        return number in (0, 1)
    return number is not None and math.isfinite(number)
