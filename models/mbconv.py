"""What EfficientNet is made of: inverted bottlenecks that weigh their channels.

Parameters and statistics are float32; work is done in the `dtype` of activations.
"""

import functools

import jax.numpy as jnp
from flax import nnx

from models.blocks import ConvNorm
from models.drop_path import DropPath
from models.norms import batch_norm


class SqueezeExcite(nnx.Module):
    """Weighs each channel by what the whole map shows: `[B, H, W, D] -> [B, H, W, D]`.

    Hu et al. 2018, https://arxiv.org/abs/1709.01507, with SiLU.
    """

    def __init__(self, channels: int, squeezed: int, *, dtype='float32', rngs):
        """Builds the layers; `squeezed` is how many channels stand in the middle."""
        self.reduce = nnx.Linear(channels, squeezed, dtype=dtype, rngs=rngs)
        self.expand = nnx.Linear(squeezed, channels, dtype=dtype, rngs=rngs)

    def __call__(self, maps):
        pooled = maps.mean((1, 2), dtype=jnp.float32)
        weights = nnx.sigmoid(self.expand(nnx.silu(self.reduce(pooled))))
        return maps * weights[:, None, None].astype(maps.dtype)


class MBConv(nnx.Module):
    """1x1 to more channels, kxk in each alone, weighed, 1x1 back; added where it fits.

    `[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), D]`. Sandler et al. 2018,
    https://arxiv.org/abs/1801.04381, section 3; with SiLU and squeeze-excitation (a
    quarter of C in the middle) as Tan and Le 2019 have it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        expansion: int = 6,
        drop_path: float = 0.0,
        *,
        norm=batch_norm,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the block.

        Args:
          in_channels: C.
          out_channels: D.
          kernel_size: k.
          stride: of the kxk convolution.
          expansion: how many times C stand in the middle; 1 has no first convolution.
          drop_path: rate at which training leaves the branch out, where it is added.
          norm: `norm(channels, rngs=)` makes the normalisations.
          dtype: of the activations.
          rngs: draws weights (`params`) and what is left out (`dropout`).
        """
        parts = {'dtype': dtype, 'rngs': rngs}
        conv = functools.partial(ConvNorm, norm=norm, activation=nnx.silu, **parts)
        middle = expansion * in_channels
        self.expand = conv(in_channels, middle, 1) if expansion > 1 else None
        self.depthwise = conv(middle, middle, kernel_size, stride, groups=middle)
        self.excite = SqueezeExcite(middle, max(1, in_channels // 4), **parts)
        self.project = conv(middle, out_channels, 1, activation=None)
        self.added = stride == 1 and in_channels == out_channels
        self.drop_path = DropPath(drop_path if self.added else 0.0, rngs=rngs)

    def __call__(self, images):
        maps = self.expand(images) if self.expand else images
        maps = self.excite(self.depthwise(maps))
        maps = self.project(maps)
        return images + self.drop_path(maps) if self.added else maps
