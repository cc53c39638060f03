"""Tone curves and sharpness, as Pillow's ImageOps and ImageEnhance, for RandAugment.

On float32 [B, H, W, C] in [0, 1]; where Pillow counts in 256 levels, so is done here.
"""

import jax
import jax.numpy as jnp

from trainer.augment.colour import blend
from trainer.augment.pictures import inside

LEVELS = 256
CENTRE, TOTAL = 5, 13  # of the 3x3 smoothing kernel, whose other weights are 1


def posterize(image: jax.Array, bits: int) -> jax.Array:
    """Keeps the highest `bits` of 8; ImageOps.posterize."""
    step = 2 ** (8 - bits)
    return (_levels(image) // step * step) / (LEVELS - 1)


def solarize(image: jax.Array, threshold: float) -> jax.Array:
    """Inverts what is not below the threshold in [0, 1]; ImageOps.solarize."""
    return jnp.where(image < threshold, image, 1 - image)


def autocontrast(image: jax.Array) -> jax.Array:
    """Spreads each channel over [0, 1]; ImageOps.autocontrast."""
    low = jnp.min(image, axis=(1, 2), keepdims=True)
    high = jnp.max(image, axis=(1, 2), keepdims=True)
    width = jnp.where(high > low, high - low, 1)
    return jnp.where(high > low, (image - low) / width, image)


def equalize(image: jax.Array) -> jax.Array:
    """Each channel with all levels about as frequent; ImageOps.equalize."""
    levels = _levels(image)
    curve = _curves(_histograms(levels)) / (LEVELS - 1)
    return _mapped(levels, curve)


def sharpen(image: jax.Array, factor: jax.Array) -> jax.Array:
    """From smoothed at a factor [B] of 0 over the image at 1; ImageEnhance.Sharpness.

    The outermost pixels stay as they are.
    """
    height, width = image.shape[1:3]
    # A window and not nine slices: XLA on CPU would fuse all that comes before into
    # each of the nine.
    window, strides = (1, 3, 3, 1), (1, 1, 1, 1)
    total = jax.lax.reduce_window(image, 0.0, jax.lax.add, window, strides, 'SAME')
    smooth = (total + (CENTRE - 1) * image) / TOTAL
    box = jnp.array([[1, 1, height - 1, width - 1]])
    inner = inside(box, height, width)[..., None]
    return jnp.where(inner, blend(image, smooth, factor), image)


def _levels(image):
    """The nearest of 256 levels, int32."""
    return jnp.round(image * (LEVELS - 1)).astype(jnp.int32)


def _histograms(levels):
    """How many pixels of each picture and channel have each level, [B, C, 256]."""
    channels = levels.shape[-1]

    def count(levels):
        bins = levels.reshape(-1, channels) + LEVELS * jnp.arange(channels)
        counts = jnp.zeros(channels * LEVELS, jnp.int32)
        counts = counts.at[bins].add(1, mode='promise_in_bounds')
        return counts.reshape(channels, LEVELS)

    return jax.vmap(count)(levels)


def _curves(counts):
    """The level that each level becomes, [B, C, 256]."""
    levels = jnp.arange(LEVELS)
    highest = jnp.max(jnp.where(counts > 0, levels, 0), axis=-1, keepdims=True)
    last = jnp.take_along_axis(counts, highest, axis=-1)
    step = (jnp.sum(counts, axis=-1, keepdims=True) - last) // (LEVELS - 1)
    below = jnp.cumsum(counts, axis=-1) - counts
    curve = (below + step // 2) // jnp.maximum(step, 1)
    return jnp.where(step > 0, jnp.minimum(curve, LEVELS - 1), levels)


def _mapped(levels, curve):
    """Each level as the curve [B, C, 256] of its picture and channel has it."""
    channels = levels.shape[-1]

    def look_up(levels, curve):
        places = levels + LEVELS * jnp.arange(channels)
        return curve.reshape(-1).at[places].get(mode='promise_in_bounds')

    return jax.vmap(look_up)(levels, curve)
