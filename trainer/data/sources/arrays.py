"""Arrays: images or feature vectors in a NumPy file, with classes or targets."""

import dataclasses
from typing import Annotated, ClassVar, Literal

import gin
import numpy as np
from annotated_types import Interval

from trainer.data import array_files
from trainer.data.source import Examples, Shape, Source, digest, printable
from trainer.data.splits import cut
from trainer.data.stratify import train_test
from trainer.errors import UserError


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Arrays(Source):
    """An .npz file with `images` and `labels`, or `x_train`, `y_train`, `x_test`, ...

    Images are [N, H, W], [N, H, W, 1] or [N, H, W, 3] uint8, or floats in [0, 1];
    feature vectors are [N, F] or [N] of any numbers. Labels are whole numbers [N]
    (classes), 0 and 1 [N, C] (several at once), or other numbers [N] or [N, T]
    (targets). `class_names` in the file names the classes.

    Attributes:
      file: .npz, or .npy of images or vectors alone.
      labels: .npy of their labels, where `file` is .npy.
      kind: 'label', 'labels' or 'target'; None follows the numbers.
      test_fraction: share that is 'test', where the file has no splits.
    """

    file: str
    labels: str | None = None
    kind: Literal['label', 'labels', 'target'] | None = None
    test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2

    default_size: ClassVar[int | None] = None

    def open(self, split: str) -> 'Loaded':
        """Raises UserError: no file, arrays that do not fit each other, no split."""
        name = printable(self.file)
        found = array_files.load(self.file)
        if self.labels is not None:
            found['labels'] = array_files.load(self.labels)['images']
        parts = array_files.sort(name, found)
        labels = array_files.join(name, parts, 'label')
        kind = self.kind or array_files.kind_of(labels)
        images = array_files.as_images(name, array_files.join(name, parts, 'image'))
        values = array_files.as_values(name, kind, labels)
        good, problems = array_files.usable(name, images, values)
        if not good.any():
            raise UserError(f'{name} has no row of finite numbers alone.')
        given = found.get('class_names', ())
        if kind == 'label':
            values, names = array_files.classes(name, values, given)
        else:
            names = [str(number) for number in range(values.shape[1])]
        splits = self._splits(parts, values if kind == 'label' else None, good)
        rows = cut(name, split, splits)
        loaded = Loaded(f'{name} [{split}]', images[rows], {kind: values[rows]})
        attribute = 'target_names' if kind == 'target' else 'class_names'
        setattr(loaded, attribute, tuple(names))
        loaded.problems = tuple(problems)
        return loaded

    def _splits(self, parts, labels, good):
        sizes = {s: len(fields['label']) for s, fields in parts.items()}
        ends = np.cumsum(list(sizes.values()))
        rows = np.arange(ends[-1])
        kept = np.flatnonzero(good)
        if list(sizes) == [None]:
            classes = None if labels is None else labels[kept]
            parts = train_test([str(row) for row in kept], classes, self.test_fraction)
            return {name: kept[chosen] for name, chosen in parts.items()}
        spans = zip(sizes, np.split(rows, ends[:-1]), strict=True)
        return {name: span[good[span]] for name, span in spans}


class Loaded(Examples):
    """Some rows of arrays in memory."""

    def __init__(self, name: str, images: np.ndarray, columns: dict[str, np.ndarray]):
        self.name, self.images, self.columns = name, images, columns
        self.labels_known = tuple(columns)
        self.image_shape: Shape = images.shape[1:]
        arrays = [images, *columns.values()]
        self.fingerprint = digest([array_files.summary(array) for array in arrays])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        columns = {key: values[index] for key, values in self.columns.items()}
        return {'image': self.images[index], **columns}

    def column(self, field):
        return self.columns[field]
