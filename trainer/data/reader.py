"""Reads example i, transforms it and checks it; knows no format, batch or order."""

import inspect
import math
from collections.abc import Callable, Sequence

import numpy as np

from trainer.data.checks import check_example
from trainer.errors import UserError


class Reader:
    """Example i of a source after its transforms; random access, safe to pickle.

    Args:
      source: `source[i] -> {'image': uint8 [H, W, C], 'index': int, ...}`.
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
    """A reader whose images all have one shape and whose labels are right.

    Args:
      reader: gives the examples.
      facts: a source, opened: its `name` and what its label fields mean.
      image_shape: of every image.
    """

    def __init__(self, reader, facts, image_shape: tuple):
        self.reader, self.facts, self.image_shape = reader, facts, image_shape

    def __len__(self):
        return len(self.reader)

    def __getitem__(self, index) -> dict:
        return self(index, None)

    def __call__(self, index, rng) -> dict:
        """Raises UserError, naming the example, where one does not fit."""
        example = self.reader(index, rng)
        name = f'{self.facts.name}: example {example["index"]}'
        check_example(name, example, self.facts)
        if example['image'].shape != self.image_shape:
            raise UserError(self._sizes_vary(name, example['image'].shape))
        if 'label' in example:
            example['label'] = np.int32(example['label'])
        return example

    def _sizes_vary(self, name, shape):
        return (
            f'{name} has an image of shape {shape}, others of {self.image_shape}; '
            f'bring them to one size: Images.size = 64, or Images.transforms = '
            f'[@RandomResizedCrop()] to train, [@ResizeShortSide(), @CenterCrop()] to '
            f'evaluate.'
        )


def takes_rng(transform: Callable) -> bool:
    """Whether a transform wants chance: a parameter that is called rng."""
    return 'rng' in inspect.signature(transform).parameters


def enough_pixels(transforms: Sequence[Callable]) -> int | None:
    """Short side, pixels, of which the transforms see no more.

    Twice what a plain resize keeps, or what leaves the smallest random crop the size of
    its result. None where neither comes first: a crop wants the original's pixels.
    """
    from trainer.transforms import RandomResizedCrop, ResizeShortSide

    first = transforms[0] if transforms else None
    if isinstance(first, ResizeShortSide):
        return 2 * first.pixels
    if isinstance(first, RandomResizedCrop):
        return math.ceil(first.pixels / math.sqrt(first.min_area / first.max_ratio))
    return None


def split_transforms(transforms: Sequence[Callable]) -> tuple[list, list]:
    """Those before the first that takes chance, whose result may be kept; the rest."""
    random = [takes_rng(t) for t in transforms]
    first = random.index(True) if any(random) else len(random)
    return list(transforms[:first]), list(transforms[first:])
