"""HuggingFace: a data set of the `datasets` library, local or from its hub."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import gin
import numpy as np
from annotated_types import Interval

from trainer.data.source import Examples, Source, Unreadable, digest, printable
from trainer.data.splits import canonical, cut
from trainer.data.stratify import train_test
from trainer.data.tables import sort_classes
from trainer.errors import UserError


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class HuggingFace(Source):
    """Pictures and their classes, or numbers, in columns; needs `pip install datasets`.

    Attributes:
      path: name on the hub ('ylecun/mnist'), a folder, or a .parquet file.
      name: configuration, where a data set has several.
      data_files: what `datasets.load_dataset` takes under this name.
      image, label: their columns; None for the only ones of their kind.
      test_fraction: share that is 'test', where there is but one split.
    """

    path: str
    name: str | None = None
    data_files: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None
    image: str | None = None
    label: str | None = None
    test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2

    default_size: ClassVar[int | None] = 64

    def open(self, split: str) -> 'Rows':
        """Raises UserError: no library, no such data set, no picture or label in it."""
        parts = {canonical(s) or s: part for s, part in self._load().items()}
        name, first = printable(self.path), next(iter(parts.values()))
        image, label = self._columns(name, first.features)
        cells = [cell for part in parts.values() for cell in part[label][:]]
        known = getattr(first.features[label], 'names', ())
        good = np.array([_is_label(cell, len(known)) for cell in cells], bool)
        labelled = [cell for cell, kept in zip(cells, good, strict=True) if kept]
        field, values, names = _labels(name, label, labelled, known)
        sizes = {split: len(part) for split, part in parts.items()}
        splits = self._splits(sizes, good, values if field == 'label' else None)
        chosen = cut(name, split, splits)
        rows = np.flatnonzero(good)[chosen]
        found = Rows(f'{name} [{split}]', list(parts.values()), rows, image)
        found.columns, found.labels_known = {field: values[chosen]}, (field,)
        attribute = 'class_names' if field == 'label' else 'target_names'
        setattr(found, attribute, tuple(map(printable, names)))
        found.problems = _unlabelled(name, label, cells, good, sizes)
        facts = self.name, sizes, str(first.features), rows.tolist()
        found.fingerprint = digest(facts, values[chosen].tolist(), found.lengths())
        return found

    def _splits(self, sizes, good, strata):
        """Places among the rows that have a label, by split."""
        rows = np.flatnonzero(good)
        if len(sizes) == 1:
            return train_test(list(map(str, rows)), strata, self.test_fraction)
        ends = np.searchsorted(rows, np.cumsum(list(sizes.values())))
        spans = np.split(np.arange(len(rows)), ends[:-1])
        return dict(zip(sizes, spans, strict=True))

    def _load(self):
        """The splits by name, pictures left encoded."""
        try:
            import datasets
        except ImportError as error:
            raise UserError(
                'HuggingFace needs the library datasets: run `pip install datasets`.'
            ) from error
        path, files = os.path.expanduser(self.path), self.data_files
        if path.endswith('.parquet'):
            path, files = 'parquet', path
        datasets.disable_progress_bars()
        try:
            return datasets.load_dataset(path, self.name, data_files=files)
        except Exception as error:  # whatever a hub, a file or a builder raises
            reason = ' '.join(str(error).split())[:150]
            raise UserError(
                f'{printable(self.path)} cannot be loaded by datasets: {reason}.'
            ) from error

    def _columns(self, name, features):
        """Names of the columns of pictures and labels."""
        kinds = {column: type(feature).__name__ for column, feature in features.items()}
        images = [column for column, kind in kinds.items() if kind == 'Image']
        classes = [column for column, kind in kinds.items() if kind == 'ClassLabel']
        classes = classes or [c for c in ('label', 'class', 'target') if c in kinds]
        images = [self.image] if self.image else images
        classes = [self.label] if self.label else classes
        if len(images) == len(classes) == 1 and {*images, *classes} <= kinds.keys():
            return images[0], classes[0]
        listed = ', '.join(f'{column} ({kind})' for column, kind in kinds.items())
        raise UserError(
            f'{name}: one column of pictures and one of labels are expected, it has '
            f'{listed}; set HuggingFace.image and HuggingFace.label.'
        )


class Rows(Examples):
    """Some rows of a data set of the `datasets` library."""

    image_shape = (None, None, 3)

    def __init__(self, name: str, parts, rows: np.ndarray, image: str):
        import datasets

        self.name, self.rows, self.image = name, rows, image
        parts = [part.select_columns([image]) for part in parts]
        whole = datasets.concatenate_datasets(parts)
        try:
            self.pictures = whole.cast_column(image, datasets.Image(decode=False))
        except Exception as error:  # whatever Arrow raises
            raise UserError(
                f'{name}: the column {image} holds no pictures; set HuggingFace.image.'
            ) from error
        self.columns: dict[str, np.ndarray] = {}

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        from trainer.data.pictures import conform, decode, read_bytes

        stored = self.pictures[int(self.rows[index])][self.image] or {}
        name = f'{self.name}, {self.identify(index)}'
        data, path = stored.get('bytes'), stored.get('path')
        if data is None and path is None:
            raise Unreadable(f'{name}: no picture')
        data = read_bytes(path) if data is None else data
        image = conform(decode(data, name), 3)
        return {'image': image, **{key: v[index] for key, v in self.columns.items()}}

    def column(self, field):
        return self.columns[field]

    def lengths(self) -> list:
        """Bytes of each picture as it is stored, for the fingerprint; decodes none."""
        import pyarrow.compute as pc

        stored = self.pictures.with_format('arrow')[self.image][:]
        return pc.binary_length(pc.struct_field(stored, 'bytes')).to_pylist()

    def identify(self, index):
        return f'row {self.rows[index]}'


def _is_label(cell, classes: int) -> bool:
    """Whether a cell says something: -1 and nothing stand for no label."""
    if isinstance(cell, float):
        return math.isfinite(cell)
    return cell is not None and not (classes and not 0 <= cell < classes)


def _unlabelled(name, column, cells, good, sizes) -> tuple[str, ...]:
    """A line for each row that was left out; one for a split without any label."""
    lines = []
    ends = np.cumsum(list(sizes.values()))
    for split, end in zip(sizes, ends, strict=True):
        rows = np.arange(end - sizes[split], end)
        if not good[rows].any():
            lines.append(f'{name}: the split {split} has no labels')
            continue
        lines += [
            f'{name}, row {row}: {column} is {cells[row]}; expected a label'
            for row in rows[~good[rows]]
        ]
    return tuple(lines)


def _labels(name, column, cells, names):
    """(field, values, names): classes where they have names, are text or whole."""
    try:
        values = np.asarray(cells)
    except ValueError:  # lists of several lengths
        values = np.array(None)
    if len(names) and values.ndim == 1:
        return 'label', values.astype(np.int32), names
    if values.dtype.kind == 'f' and len(values):
        values = values.astype(np.float32).reshape(len(values), -1)
        numbered = [f'{column}_{number}' for number in range(values.shape[1])]
        return 'target', values, numbered if len(numbered) > 1 else (column,)
    if values.dtype.kind not in 'iubU' or values.ndim != 1:
        raise UserError(
            f'{name}: {column} holds neither one class nor numbers in each row; choose '
            f'another column as HuggingFace.label.'
        )
    known = sort_classes({str(cell) for cell in cells})
    place = {text: number for number, text in enumerate(known)}
    return 'label', np.array([place[str(c)] for c in cells], np.int32), known
