"""ConvNeXt in four sizes: a convolutional net with a transformer's habits; maps."""

import functools
from typing import Annotated, Literal, get_args

import gin
import jax.numpy as jnp
import numpy as np
from annotated_types import Interval
from flax import nnx

from models.arguments import check_choice, check_rate
from models.attention import MLPBlock, normal_002
from models.catalog import add_models
from models.convolution import convolve
from models.drop_path import DropPath, growing_rates
from models.norms import LayerNorm
from models.patches import Patches
from models.remat import run

Size = Literal['T', 'S', 'B', 'L']

# Liu et al. 2022, section 3: channels and blocks of each stage.
SIZES = {
    'T': ((96, 192, 384, 768), (3, 3, 9, 3)),
    'S': ((96, 192, 384, 768), (3, 3, 27, 3)),
    'B': ((128, 256, 512, 1024), (3, 3, 27, 3)),
    'L': ((192, 384, 768, 1536), (3, 3, 27, 3)),
}


@gin.register
class ConvNeXt(nnx.Module):
    """ConvNeXt: `[B, H, W, C] ->` 4 maps `[B, H/4, W/4, D]` ..., and pooled `[B, D]`.

    Liu et al. 2022, https://arxiv.org/abs/2201.03545. Sizes are rounded up: images of
    sides that 32 does not divide are filled up with zeros where PyTorch would cut them.
    `pooled`, the normalised mean of the last map, is for heads that see the image as
    a whole.

    Attributes:
      channels: of each map, fine to coarse, and of `pooled`.
      strides: (4, 8, 16, 32, None); None says that `pooled` has no positions.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        size: Size = 'T',
        drop_path: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        remat: bool = False,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the net; a ValueError lists the choices of a wrong argument.

        Args:
          input_shape: (height, width, channels) of an image.
          size: the letter of the paper.
          drop_path: rate at which the last block's branch is left out; the paper has
            0.1, 0.4, 0.5 and 0.5 for T to L.
          remat: blocks are computed again for the gradient instead of kept.
          dtype: of the activations; parameters and norms are float32.
          rngs: draws the weights (`params`) and what is left out (`dropout`).
        """
        check_choice('ConvNeXt', 'size', size, get_args(Size))
        check_rate('ConvNeXt', drop_path=drop_path)
        widths, depths = SIZES[size]
        self.channels = *widths, widths[-1]
        self.strides = 4, 8, 16, 32, None
        self.remat = remat
        self.stem = Stem(input_shape[-1], widths[0], dtype=dtype, rngs=rngs)
        rates = np.split(growing_rates(drop_path, sum(depths)), np.cumsum(depths[:-1]))
        stage = functools.partial(Stage, dtype=dtype, rngs=rngs)
        in_widths = widths[:1] + widths[:-1]
        self.stages = nnx.List(map(stage, in_widths, widths, rates))
        self.norm = LayerNorm(widths[-1], rngs=rngs)

    def __call__(self, images):
        """`[B, H, W, C]` -> list of four maps, fine to coarse, and `[B, D]`."""
        maps, outputs = self.stem(images), []
        for stage in self.stages:
            maps = stage(maps, self.remat)
            outputs.append(maps)
        return [*outputs, self.norm(maps.mean((1, 2)))]


class Stem(nnx.Module):
    """Patches of 4x4 pixels, normalised: `[B, H, W, C] -> [B, H/4, W/4, D]`."""

    def __init__(self, in_channels: int, width: int, *, dtype='float32', rngs):
        self.patches = Patches(in_channels, width, 4, dtype=dtype, rngs=rngs)
        self.norm = LayerNorm(width, rngs=rngs)

    def __call__(self, images):
        return self.norm(self.patches(images))


class Downsample(nnx.Module):
    """Normalised, then patches of 2x2: `[B, H, W, C] -> [B, H/2, W/2, D]`."""

    def __init__(self, in_channels: int, width: int, *, dtype='float32', rngs):
        self.norm = LayerNorm(in_channels, rngs=rngs)
        self.patches = Patches(in_channels, width, 2, dtype=dtype, rngs=rngs)

    def __call__(self, maps):
        return self.patches(self.norm(maps))


class Stage(nnx.Module):
    """A change of scale where the width changes, then a block for each rate."""

    def __init__(self, in_width: int, width: int, rates, *, dtype='float32', rngs):
        parts = {'dtype': dtype, 'rngs': rngs}
        same = in_width == width
        self.scale = nnx.identity if same else Downsample(in_width, width, **parts)
        self.blocks = nnx.List(
            ConvNeXtBlock(width, float(rate), **parts) for rate in rates
        )

    def __call__(self, maps, remat: bool = False):
        maps = self.scale(maps)
        for block in self.blocks:
            maps = run(block, maps, remat)
        return maps


class ConvNeXtBlock(nnx.Module):
    """7x7 within each channel, then an MLP at each position, scaled and added.

    `[B, H, W, D] -> [B, H, W, D]`. Figure 4 of the paper; the scale of each channel
    starts at 1e-6 (Touvron et al. 2021, https://arxiv.org/abs/2103.17239).
    """

    def __init__(
        self, width: int, drop_path: float = 0.0, *, dtype='float32', rngs: nnx.Rngs
    ):
        self.conv = nnx.Conv(
            width,
            width,
            (7, 7),
            padding=3,
            feature_group_count=width,
            kernel_init=normal_002,
            conv_general_dilated=convolve,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm = LayerNorm(width, rngs=rngs)
        self.mlp = MLPBlock(width, 4 * width, dtype=dtype, rngs=rngs)
        self.scale = nnx.Param(jnp.full(width, 1e-6))
        self.drop_path = DropPath(drop_path, rngs=rngs)

    def __call__(self, maps):
        branch = self.mlp(self.norm(self.conv(maps)))
        return maps + self.drop_path(branch * self.scale[...].astype(maps.dtype))


add_models(
    {
        f'convnext_{size.lower()}': functools.partial(ConvNeXt, size=size)
        for size in get_args(Size)
    }
)
