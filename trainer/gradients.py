"""What happens to gradients around an optimizer: clipping, and which leaves decay.

Knows parameters only as leaves with a path and a shape.
"""

import re
from typing import Annotated

import jax
import jax.numpy as jnp
import optax
from annotated_types import Gt

Clip = Annotated[float, Gt(0)] | None
# How parameters are called that are added to what flows, scale it or are looked up
# (`nnx.Embed`), whatever their shape.
NO_KERNEL = re.compile(
    r'(.*_)?(bias(_table)?|scale|tokens?|pos(itions?)?|emb(ed(ding)?s?)?)'
)
SMALL = 1024  # elements; leaves of fewer are whole on every device, see `Parallel`


def decayed(params):
    """Which leaves weight decay pulls on: True for kernels, False for the rest.

    See `is_kernel`: biases, scales of norms, class tokens and positions are left out,
    as by timm.

    Args:
      params: any pytree of arrays: flat dictionaries with 'a/b/kernel' as keys, or
        an `nnx.State`.
    """
    return jax.tree_util.tree_map_with_path(is_kernel, params)


def is_kernel(path, leaf: jax.Array) -> bool:
    """Whether a leaf of a pytree is multiplied with what flows, summing over channels.

    What has two dimensions or more is, however it is called, unless its own name says
    otherwise (`NO_KERNEL`): 'bias' (attention has one row for each head), 'cls_token',
    'positions' `[N, D]`, 'pos_embed', the 'embedding' of `nnx.Embed`.
    """
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    name = name.removesuffix('/value').rpartition('/')[2]  # an `nnx.State` adds it
    return leaf.ndim > 1 and not NO_KERNEL.fullmatch(name)


def global_norm(gradients) -> jax.Array:
    """The root of the sum of all squares, float [].

    Small leaves, of which nets have many, are squared as one: XLA would compile three
    kernels for each of their sizes, and run them for each leaf.
    """
    leaves = jax.tree.leaves(gradients)
    small = [leaf.ravel() for leaf in leaves if leaf.size < SMALL]
    parts = [leaf for leaf in leaves if leaf.size >= SMALL]
    parts += [jnp.concatenate(small)] if small else []
    return jnp.sqrt(sum(jnp.sum(jnp.square(part)) for part in parts))


def clipped(
    optimizer: optax.GradientTransformation, clip_norm: float | None
) -> optax.GradientTransformation:
    """The optimizer on gradients whose global norm is at most clip_norm."""
    if clip_norm is None:
        return optimizer
    return optax.chain(_clip_by_global_norm(clip_norm), optimizer)


def _clip_by_global_norm(clip_norm: float) -> optax.GradientTransformation:
    """As Optax's, by one factor: XLA then scales where the gradients are read.

    Optax divides, which costs a pass over all of them, and a kernel for each shape.
    """

    def update(gradients, state, params=None):
        del params
        norm = global_norm(gradients)
        factor = jnp.where(norm < clip_norm, 1.0, clip_norm / norm)
        scaled = jax.tree.map(lambda leaf: leaf * factor.astype(leaf.dtype), gradients)
        return scaled, state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def with_l2(
    optimizer: optax.GradientTransformation, weight_decay: float
) -> optax.GradientTransformation:
    """The optimizer on gradients with weight_decay times the weights added."""
    if not weight_decay:
        return optimizer
    return optax.chain(optax.add_decayed_weights(weight_decay, decayed), optimizer)
