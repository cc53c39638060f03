"""Keypoints in regions of an image: what a map over each region should say, and says.

Regions are boxes y0, x0, y1, x1 in pixels, and a map [S, S] lies over each. All shapes
are fixed and everything runs inside the jitted step. Knows no task and no net.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.scipy.special import entr

from trainer import centres, heat_maps
from trainer.losses_detection import overlap

ENOUGH = 0.5  # of a region and an object must overlap: He et al. 2017, section 3.1
THIN = 1e-6  # pixels, below which no side of a region is taken to be, to divide by it


def padded(boxes: jax.Array, share: float) -> jax.Array:
    """Boxes [..., 4] grown by a share of their sides beyond each of these."""
    low, high = boxes[..., :2], boxes[..., 2:]
    more = share * (high - low)
    return jnp.concatenate([low - more, high + more], axis=-1)


def assigned(
    regions: jax.Array, boxes: jax.Array, there: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Which object each region is of: its index [B, R], and whether it is of any.

    That of the greatest overlap (intersection over union), if that is enough.

    Args:
      regions: [B, R, 4].
      boxes: [B, N, 4].
      there: [B, N] bool, which of the boxes are objects.
    """
    overlaps = overlap(regions[:, :, None], boxes[:, None])
    overlaps = jnp.where(there[:, None], overlaps, -1)
    return jnp.argmax(overlaps, axis=-1), jnp.max(overlaps, axis=-1) >= ENOUGH


def point_loss(points: jax.Array, regions: jax.Array, keypoints: jax.Array):
    """How far the maps of regions are from saying where keypoints are: -> [B].

    The cross-entropy over the S x S cells (He et al. 2017, section 5), in float32, less
    the least that it can be, in units of `log(S * S)`, what it costs to know nothing.
    Where the paper has one cell as the target, the four around a keypoint share it
    here, so that nothing is lost by rounding. The mean over what is labelled and lies
    in its region.

    Args:
      points: logits [B, R, S, S, K].
      regions: [B, R, 4].
      keypoints: x, y, visibility [B, R, K, 3] of the object in each region, all of
        visibility 0 where there is none.
    """
    size, logits = points.shape[2], points.astype(jnp.float32)
    low = regions[..., :2]
    sides = jnp.maximum(regions[..., 2:] - low, THIN)
    places = (keypoints[..., 1::-1] - low[:, :, None]) / sides[:, :, None] * size
    inside = jnp.all((places >= 0) & (places <= size), axis=-1)
    rows, columns = _shares(places[..., 0], size), _shares(places[..., 1], size)
    # In full: on accelerators products of float32 are rounded to less otherwise.
    exact = {'precision': jax.lax.Precision.HIGHEST}
    said = jnp.einsum('brkh,brkw,brhwk->brk', rows, columns, logits, **exact)
    least = jnp.sum(entr(rows) + entr(columns), axis=-1)
    losses = jax.nn.logsumexp(logits, axis=(2, 3)) - said - least
    losses = losses / math.log(size * size)
    counted = inside & (keypoints[..., 2] > 0)
    total = jnp.sum(jnp.where(counted, losses, 0), axis=(1, 2))
    return total / jnp.maximum(jnp.sum(counted, axis=(1, 2)), 1)


def read(points: jax.Array, regions: jax.Array) -> jax.Array:
    """Logits [B, R, S, S, K] -> [B, R, K, 3]: x, y in pixels, probability of the cell.

    Args:
      points: over the regions.
      regions: [B, R, 4].
    """
    batch, count, size, _, num_keypoints = points.shape
    maps = points.astype(jnp.float32).reshape(-1, size, size, num_keypoints)
    likeliest = jnp.max(maps, axis=(1, 2), keepdims=True)
    heights = jnp.exp(maps - likeliest)
    found = heat_maps.Peaks((size, size))(heights)
    found = found.reshape(batch, count, num_keypoints, 3)
    certain = 1 / jnp.sum(heights, axis=(1, 2)).reshape(batch, count, -1, 1)
    low, sides = regions[..., :2], regions[..., 2:] - regions[..., :2]
    places = low[:, :, None, ::-1] + found[..., :2] / size * sides[:, :, None, ::-1]
    return jnp.concatenate([places, certain], axis=-1)


@dataclasses.dataclass(frozen=True)
class Instances:
    """Reads a detector that has looked into regions: boxes, each with its keypoints.

    Attributes:
      image_size: (height, width), pixels.
      most: boxes that are read of an image, at most.
      padding: how far beyond its box each region reaches, in sides of the box.
      stride: pixels to a cell of the detector's maps, where the head says it.
    """

    image_size: tuple[int, int]
    most: int
    padding: float
    stride: int | None = None

    def __call__(self, outputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """What `centres.Peaks` gives, and `keypoints` [B, K, points, 3].

        Args:
          outputs: of a detector, and `points` of regions whose first K are its boxes,
            padded; where there is no box, keypoints are 0.
        """
        found = centres.Peaks(self.image_size, self.most, self.stride)(outputs)
        boxes = found['boxes']
        points = outputs['points'][:, : boxes.shape[1]]
        keypoints = read(points, padded(boxes, self.padding))
        there = found['box_labels'][..., None, None] >= 0
        return {**found, 'keypoints': jnp.where(there, keypoints, 0)}


def _shares(places: jax.Array, count: int) -> jax.Array:
    """Of each cell in a place between cells, along one side: [...] -> [..., count]."""
    middles = jnp.clip(places - 0.5, 0, count - 1)[..., None]
    return jnp.maximum(0, 1 - jnp.abs(middles - jnp.arange(count)))
