"""Heads that see the image as a whole: one vector of outputs each."""

from collections.abc import Sequence
from typing import Annotated

import gin
import jax.numpy as jnp
from annotated_types import Ge, Interval
from flax import nnx

from models.arguments import check_at_least_one, check_rate
from models.heads.linear import Float32Linear

Rate = Annotated[float, Interval(ge=0, lt=1)]


@gin.register
class Classifier(nnx.Module):
    """Mean over the coarsest map, dropout, dense: maps -> logits `[B, classes]`."""

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: Annotated[int, Ge(1)],
        *,
        strides: Sequence[int | None],
        dropout: Rate = 0.0,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the head.

        Args:
          channels: of each map, of which the last one counts.
          num_classes: how many logits.
          strides: of each map; told to every head, and without meaning for a mean.
          dropout: share of the pooled features that training leaves out.
          dtype: of the products; parameters, sums and logits are float32.
          rngs: draws weights (`params`) and masks (`dropout`).

        Raises:
          ValueError: for no classes, or a dropout outside [0, 1).
        """
        check_at_least_one('Classifier', num_classes=num_classes)
        check_rate('Classifier', dropout=dropout)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.dense = Float32Linear(channels[-1], num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, maps):
        """List of maps, the last `[B, ..., D]` -> float32 `[B, classes]`."""
        return self.dense(self.dropout(pool(maps)))


@gin.register
class Regressor(nnx.Module):
    """Mean over the coarsest map, dropout, dense: maps -> numbers `[B, targets]`.

    On a backbone of feature vectors, such as an MLP with `input_shape` (F,), it
    regresses from tables as well as from images.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_targets: Annotated[int, Ge(1)],
        *,
        strides: Sequence[int | None],
        dropout: Rate = 0.0,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the head; see `Classifier` for the arguments.

        Raises:
          ValueError: for no targets, or a dropout outside [0, 1).
        """
        check_at_least_one('Regressor', num_targets=num_targets)
        check_rate('Regressor', dropout=dropout)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.dense = Float32Linear(channels[-1], num_targets, dtype=dtype, rngs=rngs)

    def __call__(self, maps):
        """List of maps, the last `[B, ..., D]` -> float32 `[B, targets]`."""
        return self.dense(self.dropout(pool(maps)))


def pool(maps):
    """List of maps, the last `[B, ..., D]` -> its mean over positions, `[B, D]`."""
    coarsest = maps[-1].astype(jnp.float32)
    return coarsest.mean(axis=tuple(range(1, coarsest.ndim - 1)))
