"""Augmentations that move pixels, and with them the labels that lie in the picture.

An object of which less than `min_visible` of the box stays in the picture is dropped;
a keypoint that leaves it gets visibility 0; a segmentation is 255, "ignore", where
pixels come in from outside, which are black. A `target` may mean anything, and stays.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import gin
import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Interval

from trainer.augment.pictures import Batch, Share, carry, coin, pictures, spread
from trainer.augment.warp import about_centre, compose, rotation, shear, warp, zoom
from trainer.errors import UserError

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class PadCrop:
    """Moves each picture by up to `pad` pixels in both directions; black comes in.

    As padding by `pad` zeros and cropping at random (He et al., 2016, section 4.2).
    """

    pad: Annotated[int, Ge(1)] = 4
    min_visible: Share = 0.1

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """Every picture has its own move, uniform over the (2 pad + 1)^2."""
        image, pad = pictures(batch, self), self.pad
        corners = jax.random.randint(key, (len(image), 2), 0, 2 * pad + 1)

        def move(values, outside):
            edges = ((0, 0), (pad, pad), (pad, pad), (0, 0))
            padded = jnp.pad(values, edges, constant_values=outside)
            return jax.vmap(lambda value, corner: _cut(value, corner, pad))(
                padded, corners
            )

        shift = (pad - corners[:, ::-1]).astype(jnp.float32)
        still = jnp.broadcast_to(jnp.eye(2), (len(image), 2, 2))
        matrix = jnp.concatenate([still, shift[..., None]], axis=-1)
        return carry(batch, move, matrix, self.min_visible)


def _cut(padded, corner, pad):
    """The part of a padded picture from (y, x) on, of the size without padding."""
    height, width, channels = padded.shape
    shape = (height - 2 * pad, width - 2 * pad, channels)
    return jax.lax.dynamic_slice(padded, (corner[0], corner[1], 0), shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Flip:
    probability: Share = 0.5
    pairs: Sequence[tuple[int, int]] | None = None

    axis: ClassVar[int]  # of the image

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that swaps the pairs of the data where the config names none."""
        if self.pairs is not None:
            return self
        pairs = getattr(dataset, 'flip_pairs', None)
        return dataclasses.replace(self, pairs=pairs)

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, some mirrored."""
        image = pictures(batch, self)
        flip = coin(key, self.probability, batch)

        def move(values, _):
            return jnp.where(spread(flip), jnp.flip(values, self.axis), values)

        # x -> W - x, or y -> H - y.
        mirror, row = np.eye(2, 3, dtype=np.float32), 2 - self.axis
        mirror[row, row], mirror[row, 2] = -1, image.shape[self.axis]
        matrix = jnp.where(flip[:, None, None], mirror, jnp.eye(2, 3))
        flipped = carry(batch, move, matrix, min_visible=0)
        if 'keypoints' in batch:
            swapped = flipped['keypoints'][:, :, self._order(batch)]
            keypoints = jnp.where(spread(flip), swapped, flipped['keypoints'])
            flipped['keypoints'] = keypoints
        return flipped

    def _order(self, batch):
        """Which keypoint comes to stand where, a list of K."""
        order, name = list(range(batch['keypoints'].shape[2])), type(self).__name__
        if self.pairs is None and len(order) > 1:
            raise UserError(
                f'{name} must know which keypoints swap places; set {name}.pairs, such '
                f'as ((0, 1), (2, 3)), or () where none do.'
            )
        for a, b in self.pairs or ():
            if not 0 <= min(a, b) <= max(a, b) < len(order):
                raise UserError(
                    f'{name}.pairs has {(a, b)}, but there are {len(order)} keypoints; '
                    f'count from 0 to {len(order) - 1}.'
                )
            order[a], order[b] = order[b], order[a]
        return np.array(order)


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class FlipLeftRight(_Flip):
    """Mirrors each picture with the given probability, left to right.

    Attributes:
      probability: of each picture.
      pairs: of keypoints that swap places, such as left and right hand, counted from
        0; None for the `flip_pairs` of the data.
    """

    axis: ClassVar[int] = 2


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class FlipUpDown(_Flip):
    """Mirrors each picture with the given probability, top to bottom.

    Attributes:
      probability: of each picture.
      pairs: as in FlipLeftRight: a mirror makes left hands right whichever way it is
        held. Name other pairs where keypoints mean places, such as corners.
    """

    axis: ClassVar[int] = 1


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Affine:
    """Rotates, zooms, shears and shifts each picture around its middle; black comes in.

    Each amount is drawn evenly from minus to plus the given one, the zoom so in its
    logarithm. A rotated box is the upright box around its corners.

    Attributes:
      degrees: of rotation; so much alone by default.
      zoom: the largest factor; as likely smaller by it.
      shear: the largest, in degrees, along x and along y.
      shift: the largest, as a part of the picture's sides.
      min_visible: objects that keep less of their box are dropped.
    """

    degrees: Annotated[float, Interval(ge=0, le=180)] = 15.0
    zoom: Annotated[float, Interval(ge=1, le=4)] = 1.0
    shear: Annotated[float, Interval(ge=0, le=60)] = 0.0
    shift: Share = 0.0
    min_visible: Share = 0.1

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, each moved by its own motion."""
        _, height, width, _ = pictures(batch, self).shape
        matrix = about_centre(height, width, *self.draw(key, batch))

        def move(values, outside):
            return warp(values, matrix, outside)

        return carry(batch, move, matrix, self.min_visible)

    def draw(self, key: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """Linear part [B, 2, 2] and shift (x, y) [B, 2] in pixels of each motion."""
        size, height, width, _ = batch['image'].shape
        drawn = jax.random.uniform(key, (6, size), minval=-1.0)
        angle, growth, along_x, along_y, x, y = drawn
        slope = math.tan(math.radians(self.shear))
        turn = compose(
            zoom(jnp.exp(growth * math.log(self.zoom))),
            shear(along_x * slope, along_y * slope),
            rotation(angle * math.radians(self.degrees)),
        )
        shift = jnp.stack([x * width, y * height], axis=-1) * self.shift
        return turn, shift
