"""Vision transformers of four widths and four patch sizes; maps, no logits."""

import functools
from typing import Annotated, Literal, get_args

import gin
from annotated_types import Interval
from flax import nnx

from models.arguments import check_choice, check_rate
from models.attention import TransformerBlock
from models.catalog import add_models
from models.drop_path import growing_rates
from models.norms import LayerNorm
from models.remat import run
from models.tokens import Tokens

Size = Literal[
    'Ti/4', 'Ti/14', 'Ti/16', 'Ti/32', 'S/4', 'S/14', 'S/16', 'S/32',
    'B/4', 'B/14', 'B/16', 'B/32', 'L/4', 'L/14', 'L/16', 'L/32',
]  # fmt: skip
Pooling = Literal['token', 'mean']
Positions = Literal['learned', 'sincos']

# (features, blocks, heads): B and L from Dosovitskiy et al. 2021, table 1; Ti and S
# from Touvron et al. 2021, table 1, https://arxiv.org/abs/2012.12877.
SIZES = {
    'Ti': (192, 12, 3),
    'S': (384, 12, 6),
    'B': (768, 12, 12),
    'L': (1024, 24, 16),
}


@gin.register
class ViT(nnx.Module):
    """Vision transformer: `[B, H, W, C] -> [grid [B, H/p, W/p, D], pooled [B, D]]`.

    Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929. Images of any size are
    taken, the grid's size is rounded up (`Tokens`). `pooled` is for heads that see the
    image as a whole, the grid for those that look closer; both are normalised.

    Attributes:
      channels: (D, D).
      strides: (p, None); None says that `pooled` has no positions.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        size: Size = 'S/16',
        pooling: Pooling = 'token',
        positions: Positions = 'learned',
        drop_path: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        remat: bool = False,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the net; a ValueError lists the choices of a wrong argument.

        Args:
          input_shape: (height, width, channels) of an image.
          size: letters of the papers for width and depth / pixels of a patch's side.
          pooling: 'token' (a class token), or 'mean' over the patches without one.
          positions: 'learned', or 'sincos', which are fixed.
          drop_path: rate at which the last block's branches are left out.
          remat: blocks are computed again for the gradient instead of kept.
          dtype: of the activations; parameters, norms and softmax are float32.
          rngs: draws the weights (`params`) and what is left out (`dropout`).
        """
        _check(size, pooling, positions, drop_path)
        (features, depth, heads), patch = _parse(size)
        self.channels, self.strides = (features, features), (patch, None)
        self.remat = remat
        parts = {'dtype': dtype, 'rngs': rngs}
        token, learned = pooling == 'token', positions == 'learned'
        self.stem = Tokens(input_shape, features, patch, token, learned, **parts)
        block = functools.partial(TransformerBlock, features, heads, **parts)
        self.blocks = nnx.List(map(block, growing_rates(drop_path, depth)))
        self.norm = LayerNorm(features, rngs=rngs)

    def __call__(self, images):
        """`[B, H, W, C] -> [grid [B, H/p, W/p, D], pooled [B, D]]`"""
        tokens = self.stem(images)
        for block in self.blocks:
            tokens = run(block, tokens, self.remat)
        tokens = self.norm(tokens)
        grid = tokens[:, self.stem.prefix :]
        pooled = tokens[:, 0] if self.stem.prefix else grid.mean(1)
        sides = [-(-side // self.strides[0]) for side in images.shape[1:3]]
        return [grid.reshape(grid.shape[0], *sides, -1), pooled]


def _parse(size: str) -> tuple[tuple[int, int, int], int]:
    """((features, blocks, heads), side of a patch) of 'S/16'."""
    letters, patch = size.split('/')
    return SIZES[letters], int(patch)


def _check(size, pooling, positions, drop_path) -> None:
    check_choice('ViT', 'size', size, get_args(Size))
    check_choice('ViT', 'pooling', pooling, get_args(Pooling))
    check_choice('ViT', 'positions', positions, get_args(Positions))
    check_rate('ViT', drop_path=drop_path)


add_models(
    {
        f'vit_{size.lower().replace("/", "")}': functools.partial(ViT, size=size)
        for size in get_args(Size)
    }
)
