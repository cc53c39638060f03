"""From an image to tokens that know where they stand; knows no transformer."""

import jax
import jax.numpy as jnp
from flax import nnx

from models.attention import normal_002
from models.patches import Patches


class Tokens(nnx.Module):
    """`[B, H, W, C] -> [B, T + H/p W/p, D]`: T is 1 with a class token, else 0.

    Dosovitskiy et al. 2021, equation 1, https://arxiv.org/abs/2010.11929. Images of
    any size are taken: the positions are resampled to their grid of patches.

    Attributes:
      grid: rows and columns of patches that the positions were made for.
      prefix: T, how many tokens stand before those of the patches.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        features: int,
        size: int,
        class_token: bool = True,
        learned: bool = True,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the layer for patches of `size` pixels a side.

        Args:
          input_shape: (height, width, channels) of an image.
          features: D.
          size: of a patch.
          class_token: whether a learned token stands before all others.
          learned: whether positions are, or are fixed (`sincos_positions`).
          dtype: of the activations; parameters are float32.
          rngs: draws the weights from `params`.
        """
        self.patches = Patches(input_shape[-1], features, size, dtype=dtype, rngs=rngs)
        self.grid = tuple(-(-side // size) for side in input_shape[:2])
        self.prefix = int(class_token)
        self.class_token, self.positions = nnx.data(None), nnx.data(None)
        if class_token:
            self.class_token = nnx.Param(normal_002(rngs.params(), (features,)))
        if learned:
            shape = self.prefix + self.grid[0] * self.grid[1], features
            self.positions = nnx.Param(normal_002(rngs.params(), shape))

    def __call__(self, images):
        """`[B, H, W, C] -> [B, T + H/p W/p, D]`, sizes rounded up."""
        patches = self.patches(images)
        batch, *grid, features = patches.shape
        tokens = patches.reshape(batch, -1, features)
        if self.class_token is not None:
            token = self.class_token[...].astype(tokens.dtype)
            token = jnp.broadcast_to(token, (batch, 1, features))
            tokens = jnp.concatenate([token, tokens], axis=1)
        return tokens + self._positions(tuple(grid), features).astype(tokens.dtype)

    def _positions(self, grid, features):
        """`[T + N, D]`, zero for the class token where positions are fixed."""
        if self.positions is not None:
            return resample_positions(self.positions[...], self.grid, grid)
        fixed = sincos_positions(grid, self.grid, features)
        return jnp.pad(fixed, ((self.prefix, 0), (0, 0)))


def resample_positions(positions, grid: tuple[int, int], new_grid: tuple[int, int]):
    """Positions learned on one grid for another: bicubic, antialiased, as timm's.

    Args:
      positions: `[T + h w, D]`; those before the grid's stay as they are.
      grid: (h, w) that they were learned on.
      new_grid: (h', w') wanted.

    Returns:
      `[T + h' w', D]`

    Raises:
      ValueError: for fewer positions than the grid has patches.
    """
    if tuple(grid) == tuple(new_grid):
        return positions
    prefix = len(positions) - grid[0] * grid[1]
    if prefix < 0:
        raise ValueError(
            f'{len(positions)} positions are too few for {grid[0]}x{grid[1]} patches; '
            f'say the grid that they were learned on.'
        )
    features = positions.shape[-1]
    learned = positions[prefix:].reshape(*grid, features)
    wanted = jax.image.resize(learned, (*new_grid, features), 'cubic', antialias=True)
    return jnp.concatenate([positions[:prefix], wanted.reshape(-1, features)])


def sincos_positions(grid: tuple[int, int], trained: tuple[int, int], features: int):
    """Fixed positions `[h w, D]`: sines and cosines of column and row.

    The two-dimensional form of Vaswani et al. 2017 that Beyer et al. 2022 use,
    https://arxiv.org/abs/2205.01580. On another grid than the trained one the same
    waves are read where its patches lie between those of the trained one.

    Raises:
      ValueError: for features that are no multiple of 4.
    """
    if features % 4:
        raise ValueError(
            f'Fixed positions need a multiple of 4 features; got {features}.'
        )
    rows, columns = (
        (jnp.arange(size) + 0.5) * old / size - 0.5
        for size, old in zip(grid, trained, strict=True)
    )
    frequencies = 1e4 ** -jnp.linspace(0.0, 1.0, features // 4)
    rows, columns = jnp.meshgrid(rows, columns, indexing='ij')
    angles = [place.reshape(-1, 1) * frequencies for place in (columns, rows)]
    waves = [wave(angle) for angle in angles for wave in (jnp.sin, jnp.cos)]
    return jnp.concatenate(waves, axis=1)
