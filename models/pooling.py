"""Maxima of windows whose gradient stays fast on a CPU; knows nothing of layers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from models.depthwise import shifted


def max_pool(images, window, strides, padding='VALID'):
    """The maximum of each window: `nnx.max_pool`, with a fast gradient on CPUs.

    There XLA looks through all windows in a naive loop on one core to find out where a
    gradient belongs; shifted maps compared with each other know. Values and gradients
    are the same to the last bit: of equal pixels the first one of a window has it all.

    Args:
      images: `[B, H, W, C]`, of floats.
      window: (height, width).
      strides: a pair.
      padding: `'SAME'`, `'VALID'` or a pair of (low, high) pairs.

    Returns:
      `[B, H', W', C]`.
    """
    if jax.default_backend() != 'cpu':
        return nnx.max_pool(images, window, strides, padding)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(images.shape[1:3], window, strides, padding)
    around = ((0, 0), *padding, (0, 0))
    padded = jnp.pad(images, around, constant_values=-jnp.inf)
    taps = np.ndindex(*window)
    return functools.reduce(
        _larger, (shifted(padded, tap, window, strides) for tap in taps)
    )


def _larger(most, seen):
    """The larger one of each pair, the first of two that are equal; NaN if one is."""
    return jnp.where((seen > most) | jnp.isnan(seen), seen, most)
