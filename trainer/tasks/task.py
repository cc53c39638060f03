"""What the trainer asks of a task; the loop and the steps know no more of any of them.

A task of one's own is a frozen dataclass that subclasses `Task` and is
`@gin.register`ed; everything it holds is a number, a text or a tuple of them, so that
it can be compared, hashed, closed over by `jax.jit` and written as JSON.
"""

import abc
import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self

import clu.metrics
import jax
import numpy as np

from trainer import metrics
from trainer.errors import UserError

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

Batch = dict[str, jax.Array]


class Task(abc.ABC):
    """Losses, metrics and decoding of one kind of problem.

    Attributes:
      best: the metric by which the best checkpoint is chosen where the config does
        not say, and whether it is to be 'max' or 'min'.
    """

    best: ClassVar[tuple[str, str]] = ('loss', 'min')

    @abc.abstractmethod
    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that knows what it needs of the training data.

        Raises:
          UserError: the data and the task contradict each other.
        """

    def with_stride(self, stride: int | None) -> Self:
        """A copy for the net that is built: what reads places from maps overrides it.

        Args:
          stride: pixels of the image to a cell of the maps that the head gives; None
            where it does not say it.
        """
        return self

    @property
    @abc.abstractmethod
    def num_outputs(self) -> int | tuple[int, ...]:
        """How many outputs the head needs for the data; known once prepared.

        A tuple where that is more than one number, for a head that takes one.
        """

    def filled(self, **facts) -> Self:
        """A copy with fields that are not for a config, such as those of the data."""
        prepared = copy.copy(self)
        for name, value in facts.items():
            object.__setattr__(prepared, name, value)
        return prepared

    def train_outputs(self, apply: Callable, batch: Batch):
        """How a batch is trained: calls `apply(images)`, here once, gives the outputs.

        A task may override it, to look twice at each image for example, or to ask its
        head for more, `apply(images, regions=...)`.
        """
        return apply(batch['image'])

    def eval_outputs(self, apply: Callable, batch: Batch):
        """How a batch is evaluated, such as the mean over an image and its mirror."""
        return apply(batch['image'])

    def field(self, batch: Batch, name: str) -> jax.Array:
        """A label field of a batch.

        Raises:
          UserError: the data has no such labels, so it is another task's.
        """
        if name in batch:
            return batch[name]
        others = sorted(set(batch) - {'image', 'mask', 'index'})
        raise UserError(
            f'{type(self).__name__} needs the field {name!r} in each example, but this '
            f'data has only {", ".join(others) or "images"}; choose the task that fits '
            f'the data, or other data.'
        )

    @abc.abstractmethod
    def loss(self, outputs, batch: Batch) -> jax.Array:
        """One float32 loss for each example, [B]; padded ones may hold anything."""

    @abc.abstractmethod
    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """What is measured; the same class at every call, or steps compile again.

        Its metrics are given `outputs`, `losses` [B] and everything in the batch by
        name, and must count an example whose `mask` is False zero times. Those of
        training run in every step: keep them cheap.
        """

    @abc.abstractmethod
    def decode(self, outputs) -> dict[str, jax.Array]:
        """Outputs as people read them, each array [B, ...], for predictions."""

    def evidence(self, collection: clu.metrics.Collection) -> dict[str, np.ndarray]:
        """What a report shows of an evaluation beside its scores: small arrays.

        Those that `trainer/report/` knows: `label`, `guesses`, `probabilities`, `own`
        and `index` of examples; `confusion` [C, C]; `predicted`, `target` [N, T];
        `right`, `wrong`, `missed` [C]; `binned` [3, bins]; `count` [C].
        """
        return {}

    def learnt(self, first: dict, now: dict) -> bool:
        """Whether one batch, trained on alone, has been learnt.

        Args:
          first, now: training metrics of the first step and of the last.
        """
        return now['loss'] < 0.05 * first['loss']

    def summarize(self, collection: clu.metrics.Collection) -> dict[str, float | None]:
        """The collected numbers as they are logged; None where there is no data."""
        return metrics.summarize(collection)


def known(names: tuple[str, ...]) -> int:
    """How many classes, targets or keypoints the data has; a prepared task knows."""
    if not names:
        raise RuntimeError('Call prepare(dataset) first: the data is not known.')
    return len(names)
