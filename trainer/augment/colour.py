"""Augmentations of colour: brightness, contrast, saturation, hue; no pixel moves.

The functions are those of Pillow's ImageEnhance, on float32 in [0, 1], with a factor
for each picture: 1 leaves it as it is, 0 gives black or grey.
"""

import dataclasses
from typing import Annotated

import gin
import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval

from trainer.augment.pictures import Batch, Share, coin, pictures, spread
from trainer.errors import UserError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's mode L


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """Changes brightness, contrast, saturation and hue, in that order.

    Each factor is drawn evenly from [max(0, 1 - amount), 1 + amount]; the hue turns by
    an even part of a circle in [-hue, hue]. An amount of 0 leaves a step out. Grey
    pictures keep their saturation and hue.
    """

    brightness: Annotated[float, Ge(0)] = 0.4
    contrast: Annotated[float, Ge(0)] = 0.4
    saturation: Annotated[float, Ge(0)] = 0.4
    hue: Annotated[float, Interval(ge=0, le=0.5)] = 0.1

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, each by factors of its own."""
        image = pictures(batch, self)
        changes = (adjust_brightness, adjust_contrast, adjust_saturation)
        amounts = (self.brightness, self.contrast, self.saturation)
        drawn = jax.random.uniform(key, (4, len(image)), minval=-1.0)
        for change, amount, draw in zip(changes, amounts, drawn[:3], strict=True):
            if amount:
                least = max(0.0, 1 - amount)
                image = change(image, least + (1 + amount - least) * (draw + 1) / 2)
        if self.hue:
            image = turn_hue(image, drawn[3] * self.hue)
        return {**batch, 'image': image}


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Grayscale:
    """Makes each picture grey with the given probability, and keeps its channels."""

    probability: Share = 0.2

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, some with C equal channels."""
        image = pictures(batch, self)
        chosen = spread(coin(key, self.probability, batch))
        return {**batch, 'image': jnp.where(chosen, grey(image), image)}


def grey(image: jax.Array) -> jax.Array:
    """Brightness as the eye has it: [B, H, W, 1 or 3] -> [B, H, W, 1]."""
    channels = image.shape[-1]
    if channels not in (1, 3):
        raise UserError(
            f'Colours are changed in pictures of 1 or 3 channels, but these have '
            f'{channels}; take what changes colours out of Images.augment.'
        )
    if channels == 1:
        return image
    red, green, blue = (image[..., c : c + 1] * LUMA[c] for c in range(3))
    return red + green + blue


def blend(image: jax.Array, other: jax.Array, factor: jax.Array) -> jax.Array:
    """From `other` at a factor [B] of 0 over the image at 1 and on, in [0, 1]."""
    return jnp.clip(other + spread(factor) * (image - other), 0, 1)


def adjust_brightness(image: jax.Array, factor: jax.Array) -> jax.Array:
    """From black at 0; ImageEnhance.Brightness."""
    return blend(image, jnp.zeros_like(image), factor)


def adjust_contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    """From the picture's mean grey at 0; ImageEnhance.Contrast."""
    return blend(image, grey(jnp.mean(image, axis=(1, 2), keepdims=True)), factor)


def adjust_saturation(image: jax.Array, factor: jax.Array) -> jax.Array:
    """From grey at 0; ImageEnhance.Color. A grey picture stays as it is."""
    return blend(image, grey(image), factor) if image.shape[-1] > 1 else image


def turn_hue(image: jax.Array, turns: jax.Array) -> jax.Array:
    """The hue moved around the circle by a part of it, [B], as in HSV."""
    if image.shape[-1] != 3:
        return image
    hue, width, value = (part[..., None] for part in _hue(image))
    # A channel falls from the value by the width where the hue is far from its own.
    far = jnp.array([5.0, 3.0, 1.0]) + hue + 6 * spread(turns)
    far = far - 6 * jnp.floor(far / 6)
    return value - width * jnp.clip(jnp.minimum(far, 4 - far), 0, 1)


def _hue(image):
    """Hue in sixths of the circle, largest minus smallest channel, largest channel.

    By whole channels: reductions over a dimension of 3 are slow on CPU.
    """
    red, green, blue = (image[..., channel] for channel in range(3))
    value = jnp.maximum(jnp.maximum(red, green), blue)
    width = value - jnp.minimum(jnp.minimum(red, green), blue)
    part = jnp.where(width > 0, width, 1)
    hue = jnp.where(
        value == red,
        (green - blue) / part,
        jnp.where(value == green, 2 + (blue - red) / part, 4 + (red - green) / part),
    )
    return hue, width, value
