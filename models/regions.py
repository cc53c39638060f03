"""Parts of maps brought to one size, each cell the mean of what it covers.

Knows boxes in cells of the maps; nothing of images, strides or what is found there.
"""

import jax.numpy as jnp

SAMPLES = 2  # along each side of a cell, as is usual: He et al. 2017, section 3


def crop(maps, boxes, size: int):
    """RoIAlign: maps `[B, h, w, D]` in boxes `[B, R, 4] -> [B, R, size, size, D]`.

    He et al. 2017, https://arxiv.org/abs/1703.06870, as two products: bilinear weights
    of the rows, then of the columns. Linear in the maps; boxes get no gradient that is
    worth having, so give them without one. A box of no area is the point that it is.

    Args:
      maps: cell (i, j) covers `[i, i + 1) x [j, j + 1)`.
      boxes: y0, x0, y1, x1 in cells; what lies outside repeats the border.
      size: cells along each side of what is given.
    """
    rows = _weights(boxes[..., 0], boxes[..., 2], size, maps.shape[1])
    columns = _weights(boxes[..., 1], boxes[..., 3], size, maps.shape[2])
    rows, columns = rows.astype(maps.dtype), columns.astype(maps.dtype)
    lines = jnp.einsum('brsh,bhwd->brswd', rows, maps)
    return jnp.einsum('brtw,brswd->brstd', columns, lines)


def _weights(low, high, size: int, count: int):
    """What each of `size` cells between two places takes of each of `count` cells.

    Two of [B, R] -> [B, R, size, count]; they sum to one.
    """
    shares = (jnp.arange(size * SAMPLES) + 0.5) / (size * SAMPLES)
    places = low[..., None] + (high - low)[..., None] * shares - 0.5
    places = jnp.clip(places, 0, count - 1)[..., None]
    tents = jnp.maximum(0, 1 - jnp.abs(places - jnp.arange(count)))
    return tents.reshape(*low.shape, size, SAMPLES, count).mean(axis=-2)
