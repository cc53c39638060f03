"""A transformer between the way down and the way up of a U-Net."""

from flax import nnx

from models.attention import TransformerBlock
from models.norms import LayerNorm
from models.remat import run
from models.tokens import sincos_positions

HEAD = 64  # channels of one head of attention, as in ViTs


class Bridge(nnx.Module):
    """Transformer blocks by which each cell of a map sees all others.

    `[B, H, W, D] -> [B, H, W, D]`, normalised. Chen et al. 2021, TransUNet,
    https://arxiv.org/abs/2102.04306, with as many features as the map has channels and
    with fixed positions, so that images of any size are taken.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        stride: int,
        features: int,
        depth: int,
        remat: bool = False,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds `depth` blocks for a map of D `features`.

        Args:
          input_shape: (height, width, channels) of an image.
          stride: pixels of the image to one of the map.
          features: D; heads have 64 each, or there is one.
          depth: how many blocks.
          remat: blocks are computed again for the gradient instead of kept.
          dtype: of the activations; parameters, norms and softmax are float32.
          rngs: draws the weights from `params`.

        Raises:
          ValueError: for features that are no multiple of 4.
        """
        self.grid = tuple(-(-side // stride) for side in input_shape[:2])
        self.remat = remat
        heads = 1 if features % HEAD else features // HEAD
        sincos_positions((1, 1), self.grid, features)
        self.blocks = nnx.List(
            TransformerBlock(features, heads, dtype=dtype, rngs=rngs)
            for _ in range(depth)
        )
        self.norm = LayerNorm(features, rngs=rngs)

    def __call__(self, maps):
        """`[B, H, W, D] -> [B, H, W, D]`"""
        batch, *grid, features = maps.shape
        positions = sincos_positions(tuple(grid), self.grid, features)
        tokens = maps.reshape(batch, -1, features) + positions.astype(maps.dtype)
        for block in self.blocks:
            tokens = run(block, tokens, self.remat)
        return self.norm(tokens).reshape(maps.shape)
