"""Scores of label maps, from whole numbers of pixels: exact for any batch and order.

Pixels labelled IGNORE and masked images count nowhere. Knows logits, label maps and
masks by name; no task.
"""

import functools
from typing import ClassVar

import clu.metrics
import flax
import jax
import jax.numpy as jnp
import numpy as np

from trainer.data.source import IGNORE
from trainer.metrics import MeanLoss


@flax.struct.dataclass
class Tally(clu.metrics.Metric):
    """Whole numbers up to 2^64: a data set has more pixels than an int32 can count.

    Attributes:
      low, high: uint32 of `shape`; the numbers are `low + 2^32 high`. Of one batch,
        only `low`: it may hold 2^32 - 1 pixels.
    """

    low: jax.Array
    high: jax.Array
    shape: ClassVar[tuple[int, ...]] = ()

    @classmethod
    def empty(cls):
        # Two buffers, not one twice: a donated state may hold each buffer only once.
        return cls(
            low=jnp.zeros(cls.shape, jnp.uint32), high=jnp.zeros(cls.shape, jnp.uint32)
        )

    @classmethod
    def of(cls, numbers: jax.Array):
        """The tally of a batch's numbers."""
        return cls(low=numbers.astype(jnp.uint32), high=jnp.zeros(cls.shape, 'uint32'))

    def merge(self, other):
        low = self.low + other.low
        carry = (low < self.low).astype(jnp.uint32)
        return type(self)(low=low, high=self.high + other.high + carry)

    @property
    def numbers(self) -> np.ndarray:
        """What was counted, float64 of `shape`, exact up to 2^53."""
        return np.float64(self.low) + 2.0**32 * np.float64(self.high)


@flax.struct.dataclass
class PixelAccuracy(Tally):
    """The share of pixels that are given their class; tallies (right, wrong)."""

    shape: ClassVar[tuple[int, ...]] = (2,)

    @classmethod
    def from_model_output(cls, *, outputs, segmentation, mask, **_):
        scored = mask[:, None, None] & (segmentation != IGNORE)
        right = jnp.argmax(outputs, axis=-1) == segmentation
        return cls.of(jnp.stack([jnp.sum(scored & right), jnp.sum(scored & ~right)]))

    @property
    def count(self) -> np.ndarray:
        """Pixels, float64 []."""
        return self.numbers.sum()

    def compute(self) -> np.ndarray:
        """The share, float64 []."""
        return self.numbers[0] / self.count


@flax.struct.dataclass
class Confusion(Tally):
    """How many pixels of each class are taken for which: a table of (label, guess).

    `shape` is (C, C), once `sized` has said so.
    """

    shape: ClassVar[tuple[int, ...]] = (1, 1)

    @classmethod
    def from_model_output(cls, *, outputs, segmentation, mask, **_):
        classes = cls.shape[0]
        guesses = jnp.argmax(outputs, axis=-1).astype(jnp.int32)
        cells = classes * segmentation.astype(jnp.int32) + guesses
        scored = mask[:, None, None] & (segmentation != IGNORE)
        cells = jnp.where(scored, cells, classes**2).reshape(-1)
        counts = jnp.zeros(classes**2, jnp.uint32).at[cells].add(1, mode='drop')
        return cls.of(counts.reshape(cls.shape))


@flax.struct.dataclass
class ClassIou(Confusion):
    """Intersection over union of each class, [C]."""

    @property
    def count(self) -> np.ndarray:
        """Pixels that bear a class or are given it, [C]; without any, no data."""
        return _union(self.numbers)

    def compute(self) -> np.ndarray:
        """Of each class, float64 [C]; NaN without data."""
        return _iou(self.numbers)


@flax.struct.dataclass
class MeanIou(Confusion):
    """Intersection over union, the mean of the classes that have data."""

    @property
    def count(self) -> np.ndarray:
        """All pixels."""
        return self.numbers.sum()

    def compute(self) -> np.ndarray:
        """The mean, float64 []."""
        return np.nanmean(_iou(self.numbers))


@functools.cache
def segmentation_metrics(num_classes: int, train: bool) -> type[clu.metrics.Collection]:
    """What is measured of label maps; in training only what costs next to nothing.

    Takes `outputs` [B, H, W, C], `segmentation` [B, H, W], `mask` [B], `losses` [B].
    Cached, because a class made anew would be another pytree and recompile the step.
    """
    if train:
        return clu.metrics.Collection.create(loss=MeanLoss, acc_pixel=PixelAccuracy)
    return clu.metrics.Collection.create(
        loss=MeanLoss,
        miou=sized(MeanIou, num_classes),
        acc_pixel=PixelAccuracy,
        iou_class=sized(ClassIou, num_classes),
    )


def sized(metric: type[Confusion], num_classes: int) -> type[Confusion]:
    """The metric of so many classes."""

    @flax.struct.dataclass
    class Sized(metric):
        shape: ClassVar[tuple[int, ...]] = (num_classes, num_classes)

    return Sized


def _union(table: np.ndarray) -> np.ndarray:
    return table.sum(axis=0) + table.sum(axis=1) - np.diag(table)


def _iou(table: np.ndarray) -> np.ndarray:
    union = _union(table)
    return np.where(union > 0, np.diag(table) / np.maximum(union, 1), np.nan)
