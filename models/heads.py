"""Heads: from a backbone's maps to outputs; they know neither backbone nor task."""

from typing import Annotated

import gin
import jax.numpy as jnp
from annotated_types import Ge, Interval
from flax import nnx

from models.arguments import check_at_least_one, check_rate


@gin.register
class Classifier(nnx.Module):
    """Mean over the coarsest map, dropout, dense: maps -> logits `[B, classes]`."""

    def __init__(
        self,
        in_features: int,
        num_classes: Annotated[int, Ge(1)],
        *,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the head; `rngs` draws weights (`params`) and masks (`dropout`).

        Raises:
          ValueError: for no classes, or a dropout outside [0, 1).
        """
        check_at_least_one('Classifier', num_classes=num_classes)
        check_rate('Classifier', dropout=dropout)
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        # Products of `dtype`, but sums and logits in float32: near ties between
        # classes would vanish in the 8 bits of bfloat16.
        self.dense = nnx.Linear(
            in_features,
            num_classes,
            dtype=dtype,
            preferred_element_type=jnp.float32,
            rngs=rngs,
        )

    def __call__(self, maps):
        """List of maps, the last `[B, ..., in_features]` -> float32 `[B, classes]`."""
        coarsest = maps[-1].astype(jnp.float32)
        features = coarsest.mean(axis=tuple(range(1, coarsest.ndim - 1)))
        return self.dense(self.dropout(features)).astype(jnp.float32)
