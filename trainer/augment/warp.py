"""Affine motions of a batch: their matrices, and pictures resampled under them.

One gather of four neighbours a pixel, exact for any motion; however many motions are
composed, the pictures are resampled once. Knows no labels and draws nothing.
"""

import jax
import jax.numpy as jnp


def about_centre(height: int, width: int, turn: jax.Array, shift: jax.Array):
    """The motion that turns around the middle of the picture, then shifts.

    Args:
      height, width: of the pictures.
      turn: [B, 2, 2], the linear part, of (x, y) vectors.
      shift: [B, 2], (x, y), pixels.

    Returns:
      [B, 2, 3], from (x, y, 1) to (x, y), pixels.
    """
    centre = jnp.array([width / 2, height / 2], jnp.float32)
    offset = shift + centre - (turn * centre).sum(-1)
    return jnp.concatenate([turn, offset[..., None]], axis=-1)


def compose(*turns: jax.Array) -> jax.Array:
    """The linear parts [B, 2, 2] one after the other, the first first."""
    first, *others = turns
    for turn in others:  # sums, not products that accelerators round
        first = (turn[..., :, :, None] * first[..., None, :, :]).sum(-2)
    return first


def rotation(angle: jax.Array) -> jax.Array:
    """By an angle in radians, from x to y (clockwise as pictures lie), [B, 2, 2]."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return _matrices(cosine, -sine, sine, cosine)


def shear(x: jax.Array, y: jax.Array) -> jax.Array:
    """Along x by a part of the height over it, then along y, [B, 2, 2]."""
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    return compose(_matrices(one, x, zero, one), _matrices(one, zero, y, one))


def zoom(factor: jax.Array) -> jax.Array:
    """In both directions, [B, 2, 2]."""
    zero = jnp.zeros_like(factor)
    return _matrices(factor, zero, zero, factor)


def warp(pictures: jax.Array, matrix: jax.Array, outside: float) -> jax.Array:
    """Pictures moved by a motion: bilinear; integers take the nearest pixel.

    As Pillow's `Image.transform` under the inverse motion: a pixel whose centre comes
    from outside of the picture is `outside`; neighbours beyond the edge are the edge's.

    Args:
      pictures: [B, H, W, C].
      matrix: [B, 2, 3], from a place (x, y, 1) in the old picture to that in the new.
      outside: the value of what comes in.
    """
    _, height, width, _ = pictures.shape
    x, y = _sources(matrix, height, width)
    if jnp.issubdtype(pictures.dtype, jnp.integer):
        moved = _pick(pictures, jnp.floor(y), jnp.floor(x))
    else:
        moved = _bilinear(pictures, y - 0.5, x - 0.5)
    found = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return jnp.where(found[..., None], moved, jnp.asarray(outside, pictures.dtype))


def _sources(matrix, height, width):
    """Where each pixel's centre comes from: x [B, H, W] and y [B, H, W]."""
    (a, b, right), (c, d, down) = jnp.moveaxis(matrix[..., None, None], 0, 2)
    scale = 1 / (a * d - b * c)
    x = jnp.arange(width) + 0.5 - right
    y = (jnp.arange(height) + 0.5)[:, None] - down
    return scale * (d * x - b * y), scale * (a * y - c * x)


def _bilinear(pictures, y, x):
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]
    above, below = (
        (1 - right) * _pick(pictures, row, left)
        + right * _pick(pictures, row, left + 1)
        for row in (top, top + 1)
    )
    return (1 - down) * above + down * below


def _pick(pictures, y, x):
    """The pixels at whole places [B, H, W], the edge's beyond it.

    Mapped over the batch, not one gather over flat places, so that a batch that lies on
    several devices stays where it is.
    """
    _, height, width, _ = pictures.shape
    y = jnp.clip(y, 0, height - 1).astype(jnp.int32)
    x = jnp.clip(x, 0, width - 1).astype(jnp.int32)

    def pick(picture, y, x):
        return picture.at[y, x].get(mode='promise_in_bounds')

    return jax.vmap(pick)(pictures, y, x)


def _matrices(a, b, c, d):
    rows = jnp.stack([a, b], axis=-1), jnp.stack([c, d], axis=-1)
    return jnp.stack(rows, axis=-2)
