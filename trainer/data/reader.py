"""Reads example i, transforms it and checks it; knows no format, batch or order."""

import inspect
from collections.abc import Callable, Sequence

import numpy as np

from trainer.errors import UserError


class Reader:
    """Example i of a source after its transforms; random access, safe to pickle.

    Args:
      source: `source[i] -> {'image': uint8 [H, W, C], 'label': int}`.
      transforms: applied in this order.
    """

    def __init__(self, source, transforms: Sequence[Callable]):
        self.source = source
        self.transforms = [(takes_rng(t), t) for t in transforms]

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index) -> dict:
        """An example whose transforms take no chance."""
        return self(index, None)

    def __call__(self, index, rng: np.random.Generator | None) -> dict:
        """An example; `rng` is what its random transforms draw from."""
        example = self.source[index]
        for random, transform in self.transforms:
            example = transform(rng, example) if random else transform(example)
        return example


class Checked:
    """A reader whose images all have one shape and whose labels are classes."""

    def __init__(self, reader, name: str, num_classes: int, image_shape: tuple):
        self.reader, self.name = reader, name
        self.num_classes, self.image_shape = num_classes, image_shape

    def __len__(self):
        return len(self.reader)

    def __getitem__(self, index) -> dict:
        return self(index, None)

    def __call__(self, index, rng) -> dict:
        """Raises UserError, naming the example, where one does not fit."""
        example = self.reader(index, rng)
        check_labels(self.name, example['label'], self.num_classes, index)
        if example['image'].shape != self.image_shape:
            raise UserError(self._sizes_vary(index, example['image'].shape))
        return example

    def _sizes_vary(self, index, shape):
        return (
            f'{self.name}: example {index} has an image of shape {shape}, example 0 of '
            f'{self.image_shape}; bring them to one size: Images.transforms = '
            f'[@RandomResizedCrop()] to train, [@ResizeShortSide(), @CenterCrop()] to '
            f'evaluate.'
        )


def takes_rng(transform: Callable) -> bool:
    """Whether a transform wants chance: a parameter that is called rng."""
    return 'rng' in inspect.signature(transform).parameters


def split_transforms(transforms: Sequence[Callable]) -> tuple[list, list]:
    """Those before the first that takes chance, whose result may be kept; the rest."""
    random = [takes_rng(t) for t in transforms]
    first = random.index(True) if any(random) else len(random)
    return list(transforms[:first]), list(transforms[first:])


def check_labels(name: str, labels, num_classes: int, first: int = 0) -> None:
    """Raises UserError, naming the example, for a label that is no class.

    JAX would not: -1 would silently count as the last class, and C give NaN.

    Args:
      name: of the data set, for the message.
      labels: one label or a sequence of them, of example `first` and those after it.
      num_classes: C; labels must be integers in 0..C-1.
      first: index of the first label's example.
    """
    labels = np.atleast_1d(labels)
    bad = (labels < 0) | (labels >= num_classes) | (labels != np.floor(labels))
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f'{name}: example {first + row} has the label {labels[row]}; labels must '
            f'be integers from 0 to {num_classes - 1}. Mend the data set.'
        )
