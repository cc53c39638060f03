"""What augmentations share: pictures checked, coins tossed, labels carried along."""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Interval

from trainer.data.source import IGNORE
from trainer.errors import UserError
from trainer.motion import move_labels

Batch = dict[str, jax.Array]
Share = Annotated[float, Interval(ge=0, le=1)]


def pictures(batch: Batch, who: object) -> jax.Array:
    """The image [B, H, W, C] of a batch, for `who`; UserError where it is none."""
    image = batch['image']
    if image.ndim != 4:
        name = type(who).__name__
        raise UserError(
            f'{name} needs pictures [B, H, W, C], but the data has the shape '
            f'{image.shape}; take @{name}() out of Images.augment.'
        )
    return image


def coin(key: jax.Array, probability: float, batch: Batch) -> jax.Array:
    """True with that probability, for each picture its own, [B]."""
    return jax.random.bernoulli(key, float(probability), (len(batch['image']),))


def sign(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """-1 or 1, float32."""
    return jax.random.rademacher(key, shape, jnp.float32)


def spread(values: jax.Array) -> jax.Array:
    """One value for each picture, [B] -> [B, 1, 1, 1]."""
    return values[:, None, None, None]


def inside(boxes: jax.Array, height: int, width: int) -> jax.Array:
    """The pixels of a box in each picture: (y0, x0, y1, x1) [B, 4] -> bool [B, H, W].

    Args:
      boxes: pixel (i, j) is inside where y0 <= i < y1 and x0 <= j < x1.
      height, width: of the pictures.
    """
    top, left, bottom, right = boxes.T[..., None]
    rows, columns = jnp.arange(height), jnp.arange(width)
    rows, columns = (
        (rows >= top) & (rows < bottom),
        (columns >= left) & (columns < right),
    )
    return rows[:, :, None] & columns[:, None, :]


def carry(batch: Batch, move: Callable, matrix: jax.Array, min_visible: float) -> Batch:
    """The batch with its pictures moved and the labels that lie in them carried along.

    Args:
      batch: of `image`, `segmentation` and objects, what is there is moved.
      move: `(array [B, H, W, C], outside) -> array`; what comes in from outside is
        `outside`: black in an image, "ignore" in a segmentation.
      matrix: the same motion of points, [B, 2, 3]; see `move_labels`.
      min_visible: objects that keep less of their box are dropped.
    """
    moved = {'image': move(batch['image'], 0)}
    if 'segmentation' in batch:
        moved['segmentation'] = move(batch['segmentation'][..., None], IGNORE)[..., 0]
    size = batch['image'].shape[1:3]
    return {**batch, **moved, **move_labels(batch, matrix, size, min_visible, jnp)}
