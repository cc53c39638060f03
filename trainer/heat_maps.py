"""Heat maps of keypoints: drawn from labels, and read to fractions of a pixel.

A keypoint is x, y in pixels and a third number: its visibility in labels, the height of
its peak in what is found. All shapes are fixed and everything runs inside the jitted
step. Knows no task and no loss.
"""

import dataclasses

import jax
import jax.numpy as jnp

from trainer.centres import Grid

FAINT = 1e-3  # of a peak's height, below which its neighbours tell nothing


def draw(grid: Grid, keypoints: jax.Array, sigma: float) -> jax.Array:
    """A Gaussian around each visible keypoint: [B, N, K, 3] -> [B, h, w, K] in [0, 1].

    Around where the keypoint is, not around the middle of its cell, so that nothing is
    lost by rounding; of several objects the highest counts.

    Args:
      grid: the cells of a map over the image.
      keypoints: x, y, visibility; of visibility 0 nothing is drawn.
      sigma: standard deviation, cells.
    """
    places = keypoints[..., :2] / grid.stride - 0.5
    columns = _bells(grid.columns, places[..., 0], sigma)
    rows = _bells(grid.rows, places[..., 1], sigma)
    maps = rows[..., None] * columns[..., None, :]
    visible = keypoints[..., 2, None, None] > 0
    return jnp.moveaxis(jnp.max(jnp.where(visible, maps, 0), axis=1), 1, -1)


@dataclasses.dataclass(frozen=True)
class Peaks:
    """Reads heat maps: the highest peak of each, between cells too.

    Between cells the logarithms of a peak and its neighbours are taken for a parabola,
    which is exact where the peak is a Gaussian of any width (Zhang et al., 2020,
    https://arxiv.org/abs/1910.06278).

    Attributes:
      image_size: (height, width), pixels.
      logits: whether the maps hold logits of heights, not heights.
      stride: pixels to a cell, where the head says it.
    """

    image_size: tuple[int, int]
    logits: bool = False
    stride: int | None = None

    def __call__(self, maps: jax.Array, boxes: jax.Array | None = None) -> jax.Array:
        """Maps [B, h, w, K] -> [B, N, K, 3] of x, y in pixels, and height.

        Args:
          maps: heights of 0 and less are no peaks.
          boxes: [B, N, 4] of y0, x0, y1, x1 in pixels, in each of which the peak of one
            object is looked for; None looks once, in the whole image.
        """
        grid = Grid(*self.image_size, *maps.shape[1:3], self.stride)
        heights = jax.nn.sigmoid(maps) if self.logits else maps
        flat = jnp.moveaxis(heights.astype(jnp.float32), -1, 1)
        flat = flat.reshape(flat.shape[0], 1, flat.shape[1], -1)
        searched = flat
        if boxes is not None:
            inside = _touched(grid, boxes).reshape(*boxes.shape[:2], 1, -1)
            searched = jnp.where(inside, flat, -jnp.inf)
        best = jnp.argmax(searched, axis=-1)[..., None]
        flat = jnp.broadcast_to(flat, (*best.shape[:3], flat.shape[-1]))
        peak = jnp.take_along_axis(flat, best, axis=-1)
        row, column = best // grid.columns, best % grid.columns
        x = column + 0.5 + _shift(flat, peak, best, 1, column, grid.columns)
        y = row + 0.5 + _shift(flat, peak, best, grid.columns, row, grid.rows)
        return jnp.concatenate([x * grid.stride, y * grid.stride, peak], axis=-1)


def mirrored(maps: jax.Array, flip_pairs: tuple[tuple[int, int], ...]) -> jax.Array:
    """Maps of the mirror image [B, h, w, K] as maps of the image: left is right."""
    order = list(range(maps.shape[-1]))
    for a, b in flip_pairs:
        order[a], order[b] = b, a
    return maps[:, :, ::-1, jnp.array(order)]


def _bells(count: int, middle: jax.Array, sigma: float) -> jax.Array:
    """Gaussians along one side: [...] -> [..., count]."""
    away = (jnp.arange(count) - middle[..., None]) / sigma
    return jnp.exp(-0.5 * jnp.square(away))


def _touched(grid: Grid, boxes: jax.Array) -> jax.Array:
    """Which cells share something with each box: [B, N, 4] -> bool [B, N, h, w]."""
    cells = grid.cells()
    start, end = cells * grid.stride, (cells + 1) * grid.stride
    low, high = boxes[:, :, None, None, :2], boxes[:, :, None, None, 2:]
    return jnp.all((start < high) & (low < end), axis=-1)


def _shift(flat, peak, best, step: int, place, count: int) -> jax.Array:
    """How far from the middle of its cell a peak lies along one side, cells.

    Args:
      flat: the maps, [..., h * w].
      peak, best: the height of the peak and its index in them, [..., 1].
      step: from a cell to the next one along this side.
      place: the cell's place along it; at the ends there is nothing to compare with.
      count: cells along it.
    """

    def fall(index):
        height = jnp.take_along_axis(flat, index, axis=-1, mode='clip')
        return jnp.log(jnp.clip(height / jnp.where(peak > 0, peak, 1), FAINT, 1))

    before, after = fall(best - step), fall(best + step)
    total = before + after
    known = (place > 0) & (place < count - 1) & (peak > 0) & (total < 0)
    return jnp.where(known, (before - after) / jnp.where(known, 2 * total, 1), 0)
