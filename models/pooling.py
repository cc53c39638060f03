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

    There XLA looks through all windows in a naive loop to find out where a gradient
    belongs; shifted maps compared with each other know. Of equal pixels the first of a
    window has it all, here as there; gradients from several windows add up in another
    order, so that they agree to rounding. Along one axis after the other: from nine
    maps at once XLA computes anew, for each, all that they are made of.

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
    for axis in (2, 1):  # the first of equal ones, line by line
        images = _along(images, axis, window[axis - 1], strides[axis - 1], padding)
    return images


def _along(images, axis: int, count: int, stride: int, padding):
    """The maximum of `count` neighbours along one axis, at every `stride`th place."""
    around, taps, strides = np.zeros((4, 2), int), np.ones(2, int), np.ones(2, int)
    around[axis], taps[axis - 1], strides[axis - 1] = padding[axis - 1], count, stride
    padded = jnp.pad(images, around, constant_values=-jnp.inf)
    seen = (shifted(padded, tap, taps, strides) for tap in np.ndindex(*taps))
    return functools.reduce(_larger, seen)


def _larger(most, seen):
    """The larger one of each pair, the first of two that are equal; NaN if one is."""
    return jnp.where((seen > most) | jnp.isnan(seen), seen, most)
