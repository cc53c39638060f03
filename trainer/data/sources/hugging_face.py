"""HuggingFace: a data set of the `datasets` library, local or from its hub."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import gin
import numpy as np
from annotated_types import Interval

from trainer.data.source import Examples, Source, digest, printable
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
        cells = np.concatenate([np.asarray(part[label]) for part in parts.values()])
        known = getattr(first.features[label], 'names', ())
        field, values, names = _labels(name, label, cells, known)
        sizes = {split: len(part) for split, part in parts.items()}
        strata = values if field == 'label' else None
        rows = cut(name, split, self._splits(sizes, strata))
        found = Rows(f'{name} [{split}]', list(parts.values()), rows, image)
        found.columns = {field: values[rows]}
        attribute = 'class_names' if field == 'label' else 'target_names'
        setattr(found, attribute, tuple(map(printable, names)))
        facts = self.name, sizes, str(first.features), rows.tolist()
        found.fingerprint = digest(facts, values[rows].tolist())
        return found

    def _splits(self, sizes, strata):
        total = sum(sizes.values())
        if len(sizes) == 1:
            return train_test(list(map(str, range(total))), strata, self.test_fraction)
        spans = np.split(np.arange(total), np.cumsum(list(sizes.values()))[:-1])
        return dict(zip(sizes, spans, strict=True))

    def _load(self):
        """The splits by name, pictures left encoded."""
        try:
            import datasets
        except ImportError as error:
            raise UserError(
                'HuggingFace needs the library datasets: run `pip install datasets`.'
            ) from error
        path, files = self.path, self.data_files
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
        self.pictures = whole.cast_column(image, datasets.Image(decode=False))
        self.columns: dict[str, np.ndarray] = {}

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        from trainer.data.pictures import conform, decode, read_bytes

        stored = self.pictures[int(self.rows[index])][self.image]
        data = stored['bytes']
        data = read_bytes(stored['path']) if data is None else data
        image = conform(decode(data, f'{self.name}, {self.identify(index)}'), 3)
        return {'image': image, **{key: v[index] for key, v in self.columns.items()}}

    def column(self, field):
        return self.columns[field]

    def identify(self, index):
        return f'row {self.rows[index]}'


def _labels(name, column, cells, names):
    """(field, values, names): classes where they have names, are text or whole."""
    if len(names):
        return 'label', cells.astype(np.int32), names
    if cells.dtype.kind == 'f':
        return 'target', cells.astype(np.float32).reshape(len(cells), -1), (column,)
    if cells.dtype.kind not in 'iubU' or cells.ndim != 1:
        raise UserError(f'{name}: {column} holds neither classes nor numbers.')
    known = sort_classes({str(cell) for cell in cells})
    place = {text: number for number, text in enumerate(known)}
    return 'label', np.array([place[str(c)] for c in cells], np.int32), known
