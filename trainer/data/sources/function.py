"""Function: numbers and what a formula makes of them, for regression; reads no file."""

import dataclasses
from typing import Annotated, Literal

import gin
import numpy as np
from annotated_types import Ge

from trainer.data.source import Examples, Source, digest
from trainer.data.splits import cut

FORMULAS = {
    'sine': lambda x: np.sin(2 * np.pi * x) + x / 2,
    'cubic': lambda x: 4 * x**3 - 3 * x,
    'step': lambda x: np.sign(x),
}


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Function(Source):
    """One number in, one number out: x uniform in [-1, 1], target f(x) and noise.

    An example's `image` is a feature vector, [1] float32, and its `target` is [1].

    Attributes:
      formula: 'sine' (sin(2 pi x) + x / 2), 'cubic' (4 x^3 - 3 x) or 'step' (sign x).
      noise: standard deviation of what is added to the training split's targets; those
        of the test split are exact.
      train, test: number of examples in each split.
      seed: other numbers.
    """

    formula: Literal['sine', 'cubic', 'step'] = 'sine'
    noise: Annotated[float, Ge(0)] = 0.0
    train: Annotated[int, Ge(1)] = 2000
    test: Annotated[int, Ge(1)] = 400
    seed: Annotated[int, Ge(0)] = 0

    def open(self, split: str) -> 'Sampled':
        """Raises UserError for a split that does not exist."""
        return Sampled(self, split)


class Sampled(Examples):
    """A split of `Function`."""

    image_shape = (1,)
    target_names = ('y',)

    def __init__(self, function: Function, split: str):
        self.name = f'Function [{split}]'
        total = function.train + function.test
        seeds = np.random.SeedSequence(function.seed)
        rng = np.random.RandomState(np.random.MT19937(seeds))
        x, noise = rng.uniform(-1, 1, total), rng.normal(size=total) * function.noise
        noise[function.train :] = 0
        rows = np.arange(total)
        splits = {'train': rows[: function.train], 'test': rows[function.train :]}
        chosen = cut('Function', split, splits)
        y = FORMULAS[function.formula](x) + noise
        self.x = x[chosen, None].astype(np.float32)
        self.y = y[chosen, None].astype(np.float32)
        self.fingerprint = digest(dataclasses.asdict(function), split)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {'image': self.x[index], 'target': self.y[index]}

    def column(self, field):
        return {'target': self.y}[field]
