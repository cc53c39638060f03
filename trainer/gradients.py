"""What happens to gradients around an optimizer: clipping, and which leaves decay.

Knows parameters only as leaves with a path and a shape.
"""

from typing import Annotated

import jax
import optax
from annotated_types import Gt

Clip = Annotated[float, Gt(0)] | None


def decayed(params):
    """Which leaves weight decay pulls on: True for kernels, False for the rest.

    Left out are leaves of one dimension or none (biases and scales of norms) and
    those called 'bias', whatever their shape (attention has one row for each head).

    Args:
      params: any pytree of arrays: flat dictionaries with 'a/b/kernel' as keys, or
        an `nnx.State`.
    """

    def decays(path, leaf: jax.Array) -> bool:
        names = jax.tree_util.keystr(path, simple=True, separator='/').split('/')
        return leaf.ndim > 1 and 'bias' not in names

    return jax.tree_util.tree_map_with_path(decays, params)


def clipped(
    optimizer: optax.GradientTransformation, clip_norm: float | None
) -> optax.GradientTransformation:
    """The optimizer on gradients whose global norm is at most clip_norm."""
    if clip_norm is None:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(clip_norm), optimizer)


def with_l2(
    optimizer: optax.GradientTransformation, weight_decay: float
) -> optax.GradientTransformation:
    """The optimizer on gradients with weight_decay times the weights added."""
    if not weight_decay:
        return optimizer
    return optax.chain(optax.add_decayed_weights(weight_decay, decayed), optimizer)
