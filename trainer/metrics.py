"""CLU metrics that do not depend on batch size and number of devices.

Hits and examples are counted in integers, and so are the same; mean losses agree to
about 1e-7 of them, since only sums of batches are added with their rounding error kept:
within a batch they are float32. Padding counts zero times. Knows outputs, labels and
masks by name; no task.
"""

import functools
from collections.abc import Iterable
from typing import ClassVar

import clu.metrics
import flax
import jax
import jax.numpy as jnp
import numpy as np

from trainer.parallel import fetch

# CLU reads the annotations of a collection as classes: postponed evaluation
# (`from __future__ import annotations`) would turn them into strings.


@flax.struct.dataclass
class MeanLoss(clu.metrics.Metric):
    """The mean of `losses` [B] over the examples whose `mask` [B] is True.

    Attributes:
      total, error: float32 []; the sum and what rounding has taken from it.
      count: int32 [], examples.
    """

    total: jax.Array
    error: jax.Array
    count: jax.Array

    @classmethod
    def empty(cls):
        return cls(
            total=jnp.zeros((), jnp.float32),
            error=jnp.zeros((), jnp.float32),
            count=jnp.zeros((), jnp.int32),
        )

    @classmethod
    def from_model_output(cls, *, losses: jax.Array, mask: jax.Array, **_):
        _check_mask(mask, losses)
        return cls(
            total=jnp.sum(jnp.where(mask, losses, 0).astype(jnp.float32)),
            error=jnp.zeros((), jnp.float32),
            count=jnp.sum(mask, dtype=jnp.int32),
        )

    def merge(self, other):
        """Adds as if in double precision: the order of batches does not matter."""
        total, lost = _two_sum(self.total, other.total)
        total, error = _two_sum(total, self.error + other.error + lost)
        return type(self)(total=total, error=error, count=self.count + other.count)

    def compute(self) -> np.ndarray:
        """The mean, float64 []; NaN where nothing was counted."""
        return _ratio(np.float64(self.total) + np.float64(self.error), self.count)


@flax.struct.dataclass
class Accuracy(clu.metrics.Metric):
    """The share of hits, in whole numbers; what a hit is, subclasses say.

    Attributes:
      hits, count: int32, both of `shape`.
    """

    hits: jax.Array
    count: jax.Array
    shape: ClassVar[tuple[int, ...]] = ()

    @classmethod
    def empty(cls):
        # Two buffers, not one twice: a donated state may hold each buffer only once.
        return cls(
            hits=jnp.zeros(cls.shape, jnp.int32), count=jnp.zeros(cls.shape, jnp.int32)
        )

    def merge(self, other):
        return type(self)(hits=self.hits + other.hits, count=self.count + other.count)

    def compute(self) -> np.ndarray:
        """The share, float64 of `shape`; NaN where nothing was counted."""
        return _ratio(np.float64(self.hits), self.count)


@functools.cache
def top_accuracy(k: int) -> type[Accuracy]:
    """The class of metrics that hit where the label is among the k highest `outputs`.

    Takes `outputs` [B, C], `label` [B], `mask` [B]. Of equal outputs the lower class
    comes first, as in argmax; where an output is NaN, nothing is above it.
    """

    @flax.struct.dataclass
    class TopAccuracy(Accuracy):
        @classmethod
        def from_model_output(cls, *, outputs, label, mask, **_):
            _check_mask(mask, label)
            hits = jnp.sum(mask & (rank(outputs, label) < k), dtype=jnp.int32)
            return cls(hits=hits, count=jnp.sum(mask, dtype=jnp.int32))

    return TopAccuracy


@functools.cache
def class_accuracy(num_classes: int) -> type[Accuracy]:
    """The class of metrics with the top-1 accuracy of each class, over its examples.

    Takes `outputs` [B, C], `label` [B], `mask` [B]; gives [C].
    """

    @flax.struct.dataclass
    class ClassAccuracy(Accuracy):
        shape: ClassVar[tuple[int, ...]] = (num_classes,)

        @classmethod
        def from_model_output(cls, *, outputs, label, mask, **_):
            _check_mask(mask, label)
            member = jax.nn.one_hot(label, num_classes, dtype=jnp.int32)
            member = member * mask[:, None]
            right = rank(outputs, label) == 0
            hits = jnp.sum(member * right[:, None], axis=0, dtype=jnp.int32)
            return cls(hits=hits, count=jnp.sum(member, axis=0, dtype=jnp.int32))

    return ClassAccuracy


def rank(outputs: jax.Array, label: jax.Array) -> jax.Array:
    """How many classes come before the label: [B, C], [B] -> int32 [B].

    Written with `not <=`, so that a NaN comes before every number.
    """
    classes = jnp.arange(outputs.shape[-1])
    own = jnp.take_along_axis(outputs, label[:, None], axis=-1)
    tied_before = (outputs == own) & (classes < label[:, None])
    return jnp.sum(~(outputs <= own) | tied_before, axis=-1, dtype=jnp.int32)


@functools.cache
def classification_metrics(
    num_classes: int, train: bool
) -> type[clu.metrics.Collection]:
    """What is measured of a classifier; in training only what costs next to nothing.

    Cached, because a class made anew would be another pytree and recompile the step.
    """
    cheap = {'loss': MeanLoss, 'acc_top1': top_accuracy(1)}
    if train:
        return clu.metrics.Collection.create(**cheap)
    return clu.metrics.Collection.create(
        **cheap,
        acc_top5=top_accuracy(min(5, num_classes)),
        acc_class=class_accuracy(num_classes),
    )


def summarize(collection: clu.metrics.Collection) -> dict[str, float | None]:
    """The numbers of a collection by name; one of shape [n] becomes `name_0`, ...

    A metric that collects rows computes a dictionary: its numbers by their own names.
    None means "no data" (the metric's `count` is zero there); a NaN is a true NaN.
    Waits for the device and copies everything in one transfer.
    """
    return _computed(fetch(collection))


def score_names(measured: type[clu.metrics.Collection]) -> list[str]:
    """What `summarize` would call the numbers; no device is used or waited for."""
    shapes = jax.eval_shape(measured.empty)
    empty = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    return list(_computed(empty))


def _computed(collection: clu.metrics.Collection) -> dict[str, float | None]:
    results = {}
    for name in type(collection).__annotations__:
        metric = getattr(collection, name)
        if isinstance(metric, clu.metrics.CollectingMetric):
            results |= metric.compute()
            continue
        values = _numbers(metric)
        if values.ndim == 0:
            results[name] = values.item()
        else:
            results |= {f'{name}_{i}': value for i, value in enumerate(values)}
    return results


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """The mean of those that are not None; None where all are."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _numbers(metric: clu.metrics.Metric) -> np.ndarray:
    """The computed values as Python floats, None where there is no data."""
    count = np.asarray(getattr(metric, 'count', 1))
    if not count.any():
        return np.full(count.shape, None)
    values = np.asarray(metric.compute(), np.float64)
    if values.ndim == count.ndim == 0:
        return values
    return np.where(count == 0, None, values.astype(object))


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """total / count, NaN where the count is zero, without a warning."""
    count = np.asarray(count)
    if count.ndim == np.ndim(total) == 0:  # at every logged line: a tenth of the time
        return total / count if count > 0 else np.float64(np.nan)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """a + b and what rounding took from it (Knuth, TAOCP 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _check_mask(mask: jax.Array, values: jax.Array) -> None:
    if mask.shape != values.shape:
        raise ValueError(
            f'The mask has shape {mask.shape} and what it masks {values.shape}; '
            'give one boolean for each example.'
        )
