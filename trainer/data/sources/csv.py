"""Csv: a table of picture files with a class, several classes or numbers for each."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import gin
import numpy as np
from annotated_types import Interval

from trainer.data import tables
from trainer.data.listing import written_path
from trainer.data.source import Examples, Source, printable
from trainer.data.splits import canonical, cut, sizes_of
from trainer.data.stratify import train_test
from trainer.errors import UserError

PATH = ('path', 'file', 'filename', 'file_name', 'filepath', 'image', 'image_path')
SPLIT = ('split', 'set', 'subset')
LABEL = ('label', 'class', 'class_name', 'category')


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Csv(Source):
    """A table `path,label[,split]`, or a column of 0 and 1 for each class, or numbers.

    The header names the columns: one of path, file, filename or image; split, if there
    is one; label or class, else all others are learnt. Without a split column, each
    class is split into train and test by a hash of the paths.

    Attributes:
      file: the table; commas, semicolons or tabs.
      images: folder that paths are relative to; None is the table's.
      columns: what is learnt; empty as said above.
      kind: 'label', 'labels' (several at once) or 'target' (numbers to predict); None
        follows the cells: text and one column of whole numbers are classes, several
        columns of 0 and 1 are labels, other numbers targets.
      test_fraction: share that is 'test', where there is no split column.
    """

    file: str
    images: str | None = None
    columns: Sequence[str] = ()
    kind: Literal['label', 'labels', 'target'] | None = None
    test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2

    default_size: ClassVar[int | None] = 64

    def open(self, split: str) -> Examples:
        """Raises UserError: no table, no such column, no row that can be used."""
        from trainer.data.photos import Photos, count_channels

        file = os.path.expanduser(self.file)
        table = tables.read_table(file, ('path', 'label', 'split'))
        path, where, learnt = self._columns(table.header)
        kind = self.kind or tables.kind_of([table.column(c) for c in learnt])
        names = [table.header[column] for column in learnt]
        self._check_kind(kind, names)
        table.drop(tables.bad_cells(kind, [table.column(c) for c in learnt], names))
        table.drop(_unsplit(table, where))
        images = os.path.dirname(file) if self.images is None else self.images
        root = os.path.expanduser(images)
        sizes = _sizes(table, root, path)
        values, classes = tables.encode(kind, [table.column(c) for c in learnt])
        paths = table.column(path)
        self._check_rows(table, kind, classes)
        splits = self._splits(table, where, paths, kind, values)
        rows = cut(table.name, split, splits)
        facts = {'label': ('class_names', classes), 'labels': ('class_names', names)}
        attribute, meaning = facts.get(kind, ('target_names', names))
        return Photos(
            f'{table.name} [{split}]',
            root,
            [paths[row] for row in rows],
            {kind: values[rows]},
            count_channels(root, paths),
            [sizes[row] for row in rows],
            problems=tuple(table.problems),
            own_splits={} if where is None else sizes_of(splits),
            **{attribute: tuple(map(printable, meaning))},
        )

    def _columns(self, header):
        """Numbers of the columns of path and split, and of those that are learnt."""
        known = [name.lower() for name in header]
        path = next((i for i, name in enumerate(known) if name in PATH), None)
        if path is None:
            raise UserError(
                f'{printable(self.file)} has no column of paths; expected one called '
                f'{", ".join(PATH[:4])}, its columns are {", ".join(header)}.'
            )
        split = next((i for i, name in enumerate(known) if name in SPLIT), None)
        others = [i for i in range(len(header)) if i not in (path, split)]
        missing = [name for name in self.columns if name not in header]
        if missing or not others:
            wanted = missing[0] if missing else 'label'
            raise UserError(
                f'{printable(self.file)} has no column {wanted}; its columns are '
                f'{", ".join(header)}.'
            )
        labels = [i for i in others if known[i] in LABEL][:1]
        chosen = [header.index(name) for name in self.columns]
        return path, split, chosen or labels or others

    def _check_kind(self, kind, names):
        if kind == 'label' and len(names) > 1:
            raise UserError(
                f'{printable(self.file)}: the columns {", ".join(names)} hold text; '
                f'set Csv.columns to the one that holds the class.'
            )

    def _check_rows(self, table, kind, classes):
        if table.rows and not (kind == 'label' and len(classes) < 2):
            return
        what = (
            f'one class only, {printable(classes[0])}' if classes else 'no usable row'
        )
        more = f'; left out: {"; ".join(table.problems[:2])}' if table.problems else ''
        raise UserError(f'{table.name} has {what}{more}.')

    def _splits(self, table, where, paths, kind, values):
        if where is None:
            names = [f'{path}\0{row}' for row, path in enumerate(paths)]
            labels = values if kind == 'label' else None
            return train_test(names, labels, self.test_fraction)
        named = [cell.strip() for cell in table.column(where)]
        named = np.array([canonical(name) or name for name in named])
        return {name: np.flatnonzero(named == name) for name in dict.fromkeys(named)}


def _unsplit(table, where):
    """Rows whose split is left blank, and what to say of them."""
    cells = () if where is None else table.column(where)
    blank = [position for position, cell in enumerate(cells) if not cell.strip()]
    return dict.fromkeys(blank, 'no split is given')


def _sizes(table, root, path):
    """Bytes of each file, its path as it is called; drops rows whose file is gone."""
    sizes, missing = [], {}
    for position, (_, cells) in enumerate(table.rows):
        cells[path] = cell = written_path(root, cells[path])
        try:
            sizes.append(os.stat(os.path.join(root, cell)).st_size)
        except (OSError, ValueError) as error:
            reason = getattr(error, 'strerror', None) or str(error)
            missing[position] = f'{cell}: {reason}'
    table.drop(missing)
    return sizes
