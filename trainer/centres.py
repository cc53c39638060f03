"""Boxes as centres on the cells of a map: maps made of boxes, boxes read from maps.

All shapes are fixed and everything runs inside the jitted step. Boxes are y0, x0, y1,
x1 in pixels; rows whose label is -1 are padding. Knows no task and no loss.
Zhou et al., Objects as Points (2019), https://arxiv.org/abs/1904.07850.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import lax

from trainer.errors import UserError

SPREAD = 0.54 / 6  # of a centre, in sides of its box: Liu et al., TTFNet (2019)
LARGEST = 10.0  # the logarithm of a side in cells, so that no exponential is infinite


@dataclasses.dataclass(frozen=True)
class Grid:
    """An image, and the cells of a map over it.

    Attributes:
      height, width: of the image, pixels.
      rows, columns: of the map.
      said: pixels to a cell, where the head says it.

    Raises:
      UserError: a map of that size has no such cells.
    """

    height: int
    width: int
    rows: int
    columns: int
    said: int | None = None

    def __post_init__(self):
        sides = ((self.height, self.rows), (self.width, self.columns))
        if self.said and any(abs(side / self.said - n) >= 1 for side, n in sides):
            raise UserError(
                f'The head says a stride of {self.said} pixels, but gives maps of '
                f'{self.rows} x {self.columns} cells for images of {self.height} x '
                f'{self.width} pixels; its `stride` must be pixels to a cell of them.'
            )

    @property
    def stride(self) -> int:
        """Pixels to a cell, by the sizes alone where the head does not say it.

        Then what divides the image, or else the next power of two.
        """
        if self.said:
            return self.said
        stride, rest = divmod(self.height, self.rows)
        if not rest and self.width == stride * self.columns:
            return stride
        least = max(self.height / self.rows, self.width / self.columns)
        return 1 << (math.ceil(least) - 1).bit_length()

    def cells_of(self, boxes: jax.Array) -> jax.Array:
        """The cell in which each box has its centre: [..., 4] -> int32 [..., 2]."""
        centres = (boxes[..., :2] + boxes[..., 2:]) / (2 * self.stride)
        last = jnp.array([self.rows - 1, self.columns - 1])
        return jnp.clip(jnp.floor(centres).astype(jnp.int32), 0, last)

    def cells(self) -> jax.Array:
        """(row, column) of each cell, int32 [h, w, 2]."""
        places = jnp.meshgrid(
            jnp.arange(self.rows), jnp.arange(self.columns), indexing='ij'
        )
        return jnp.stack(places, axis=-1)

    def offset_and_size(self, boxes: jax.Array, cells: jax.Array):
        """What a detector is to say at `cells` [..., 2] of `boxes` [..., 4]."""
        centres = (boxes[..., :2] + boxes[..., 2:]) / (2 * self.stride)
        sides = (boxes[..., 2:] - boxes[..., :2]) / self.stride
        return centres - cells - 0.5, jnp.log(jnp.maximum(sides, 1e-3))

    def boxes(self, offset: jax.Array, size: jax.Array, cells: jax.Array) -> jax.Array:
        """What a detector says at some cells, as boxes: three of [..., 2] -> [..., 4].

        Args:
          offset: of the centre from the middle of its cell, (y, x) in cells.
          size: the logarithm of the sides, (height, width) in cells.
          cells: (row, column).
        """
        centres = (cells + 0.5 + offset) * self.stride
        sides = jnp.exp(jnp.minimum(size, LARGEST)) * self.stride
        return jnp.concatenate([centres - sides / 2, centres + sides / 2], axis=-1)

    def within(self, boxes: jax.Array) -> jax.Array:
        """The parts of boxes that lie in the image."""
        far = jnp.array([self.height, self.width] * 2, boxes.dtype)
        return jnp.clip(boxes, 0, far)


def centre_maps(
    grid: Grid, boxes: jax.Array, labels: jax.Array, num_classes: int
) -> jax.Array:
    """Where centres are: [B, N, 4], [B, N] -> [B, h, w, classes] in [0, 1].

    1 at the cell of each centre, and falling off around it as a Gaussian that is as
    wide as its box; where several overlap, the highest.
    """
    cells = grid.cells_of(boxes)
    sides = (boxes[..., 2:] - boxes[..., :2]) / grid.stride
    spread = jnp.maximum(SPREAD * sides, 1e-3)
    rows = _bell(grid.rows, cells[..., 0], spread[..., 0])
    columns = _bell(grid.columns, cells[..., 1], spread[..., 1])
    return _by_class(rows[..., None] * columns[:, :, None], labels, num_classes)


def inside_maps(
    grid: Grid, boxes: jax.Array, labels: jax.Array, num_classes: int
) -> jax.Array:
    """Which cells have their middle in a box of a class: bool, shapes as above."""
    middles = (grid.cells() + 0.5) * grid.stride
    low, high = boxes[:, :, None, None, :2], boxes[:, :, None, None, 2:]
    inside = jnp.all((low <= middles) & (middles < high), axis=-1)
    return _by_class(inside.astype(jnp.float32), labels, num_classes) > 0


def take(maps: jax.Array, cells: jax.Array) -> jax.Array:
    """Values of maps at cells: [B, h, w, D], [B, N, 2] -> [B, N, D]."""
    return jax.vmap(lambda one, at: one[at[:, 0], at[:, 1]])(maps, cells)


@dataclasses.dataclass(frozen=True)
class Peaks:
    """Reads a detector's outputs: the highest peaks of the heat maps, as boxes.

    A peak is as high as all its eight neighbours, which does what suppressing
    overlapping boxes does elsewhere.

    Attributes:
      image_size: (height, width), pixels.
      most: peaks that are read of an image, at most.
      stride: pixels to a cell, where the head says it.
    """

    image_size: tuple[int, int]
    most: int
    stride: int | None = None

    def __call__(self, outputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """The K highest peaks, the highest first; K is `most`, or as many as there are.

        Args:
          outputs: `heatmap` [B, h, w, C], `size` and `offset` [B, h, w, 2].

        Returns:
          `boxes` [B, K, 4], cut at the image, `scores` [B, K] in [0, 1] and
          `box_labels` [B, K] int32; where no peak is left, a score of 0 and -1.
        """
        heat = _peaks_alone(jax.nn.sigmoid(outputs['heatmap'].astype(jnp.float32)))
        batch, rows, columns, classes = heat.shape
        flat = heat.reshape(batch, -1)
        scores, places = lax.top_k(flat, min(self.most, flat.shape[1]))
        labels, cells = places % classes, places // classes
        cells = jnp.stack([cells // columns, cells % columns], axis=-1)
        grid = Grid(*self.image_size, rows, columns, self.stride)
        said = [take(outputs[name], cells) for name in ('offset', 'size')]
        return {
            'boxes': grid.within(grid.boxes(*said, cells).astype(jnp.float32)),
            'scores': scores,
            'box_labels': jnp.where(scores > 0, labels, -1).astype(jnp.int32),
        }


def _peaks_alone(heat: jax.Array) -> jax.Array:
    """Heat maps [B, h, w, C] that are 0 where a neighbour is higher."""
    window, steps = (1, 3, 3, 1), (1, 1, 1, 1)
    highest = lax.reduce_window(heat, -jnp.inf, lax.max, window, steps, 'SAME')
    return jnp.where(heat == highest, heat, 0)


def _bell(count: int, middle: jax.Array, spread: jax.Array) -> jax.Array:
    """Gaussians around cells: two of [B, N] -> [B, N, count], 1 at the middle."""
    away = jnp.arange(count) - middle[..., None]
    return jnp.exp(-0.5 * jnp.square(away / spread[..., None]))


def _by_class(maps: jax.Array, labels: jax.Array, num_classes: int) -> jax.Array:
    """The highest of the maps of a class: [B, N, h, w], [B, N] -> [B, h, w, C]."""
    none = jnp.zeros((num_classes, *maps.shape[2:]), maps.dtype)
    # What is padding is sent behind the last class, and so dropped.
    places = jnp.where(labels >= 0, labels, num_classes)
    highest = jax.vmap(lambda one, at: none.at[at].max(one, mode='drop'))(maps, places)
    return jnp.moveaxis(highest, 1, -1)
