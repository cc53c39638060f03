"""Random erasing: a box of each picture made unreadable; nothing else moves.

Chance is drawn with a long last dimension: XLA on CPU unrolls a short one, and takes
seconds to compile it.
"""

import dataclasses
import math
from typing import Annotated, Literal

import gin
import jax
import jax.numpy as jnp
from annotated_types import Interval

from trainer.augment.pictures import Batch, Share, coin, inside, pictures

ATTEMPTS = 10  # to draw a box that fits, before the picture is left whole
HIDDEN = 1  # visibility of a keypoint that is labelled but cannot be seen


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Covers a box in each picture with the given probability (Zhong et al., 2020).

    Objects keep their labels, as if something stood before them; a keypoint that is
    covered becomes hidden (visibility 1).

    Attributes:
      probability: of each picture.
      min_area, max_area: the box's area, as a fraction of the picture's.
      max_ratio: the box's sides differ by at most this factor.
      fill: 'noise', even over [0, 1], or one value in [0, 1].
    """

    probability: Share = 0.25
    min_area: Annotated[float, Interval(gt=0, le=1)] = 0.02
    max_area: Annotated[float, Interval(gt=0, le=1)] = 1 / 3
    max_ratio: Annotated[float, Interval(ge=1)] = 10 / 3
    fill: Literal['noise'] | Share = 'noise'

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, each with a box of its own."""
        image = pictures(batch, self)
        coin_key, box_key, noise_key = jax.random.split(key, 3)
        boxes = self.draw(box_key, image.shape)
        chosen = coin(coin_key, self.probability, batch)
        boxes = jnp.where(chosen[:, None], boxes, 0)
        covered = inside(boxes, *image.shape[1:3])[..., None]
        fill = self.fill
        if fill == 'noise':
            fill = _noise(noise_key, image.shape)
        erased = {**batch, 'image': jnp.where(covered, fill, image)}
        if 'keypoints' in batch:
            erased['keypoints'] = _hide(batch['keypoints'], boxes)
        return erased

    def draw(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """(y0, x0, y1, x1) of whole pixels for each picture, [B, 4]; zeros for none."""
        count, height, width, _ = shape
        shape_key, place_key = jax.random.split(key)
        drawn = jax.random.uniform(shape_key, (2 * ATTEMPTS, count))
        area, ratio = drawn[:ATTEMPTS], drawn[ATTEMPTS:]
        area = self.min_area + area * (self.max_area - self.min_area)
        ratio = jnp.exp((2 * ratio - 1) * math.log(self.max_ratio))
        area = area * (height * width)
        sides = jnp.round(jnp.sqrt(jnp.stack([area * ratio, area / ratio], axis=-1)))
        limits = jnp.array([height, width])
        fits = ((sides >= 1) & (sides <= limits)).all(-1)
        first = jnp.argmax(fits, axis=0)[None, :, None]
        sides = jnp.take_along_axis(sides, first, axis=0)[0]
        sides = jnp.where(fits.any(0)[:, None], sides, 0).astype(jnp.int32)
        place = jax.random.uniform(place_key, (count, 2))
        start = jnp.floor(place * (limits - sides + 1)).astype(jnp.int32)
        return jnp.concatenate([start, start + sides], axis=-1)


def _noise(key, shape):
    """Even over the 256 levels; the channels of a pixel share one draw of 32 bits."""
    bits = jax.random.bits(key, shape[:3], jnp.uint32)
    parts = 8 * (jnp.arange(shape[3], dtype=jnp.uint32) % 4)
    return (bits[..., None] >> parts & 255).astype(jnp.float32) / 255


def _hide(keypoints, boxes):
    """Keypoints [B, N, K, 3] (x, y, visibility), hidden where they are in the box."""
    top, left, bottom, right = boxes.T[..., None, None]
    x, y, visibility = jnp.moveaxis(keypoints, -1, 0)
    covered = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    hidden = jnp.where(covered, jnp.minimum(visibility, HIDDEN), visibility)
    return jnp.stack([x, y, hidden], axis=-1)
