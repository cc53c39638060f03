"""Stochastic depth: in training, a residual branch is left out now and then."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from models.arguments import check_rate


class DropPath(nnx.Module):
    """Zeroes the whole branch of an example at the given rate, and scales the rest.

    `[B, ...] -> [B, ...]`, unchanged in evaluation; the mean stays. Huang et al. 2016,
    https://arxiv.org/abs/1603.09382.
    """

    def __init__(self, rate: float = 0.0, *, rngs: nnx.Rngs):
        """Builds the layer; the stream `dropout` of `rngs` draws what is left out.

        Raises:
          ValueError: for a rate outside [0, 1).
        """
        check_rate('DropPath', rate=rate)
        # Without a rate there is nothing to draw: no stream that each step must fold.
        self.dropout = nnx.Dropout(rate, rngs=rngs if rate else None)

    def __call__(self, branch):
        """`[B, ...] -> [B, ...]`"""
        shape = (branch.shape[0], *(branch.ndim - 1) * [1])
        return branch * self.dropout(jnp.ones(shape, branch.dtype))


def growing_rates(last: float, depth: int) -> list[float]:
    """One rate a block, from zero to the last in equal steps (section 3.2 there)."""
    return np.linspace(0.0, last, depth).tolist()
