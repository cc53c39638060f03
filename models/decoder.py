"""The way back up of a U-Net: each map joins the next finer one of an encoder."""

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
from flax import nnx

from models.arguments import check_choice
from models.blocks import ConvNorm
from models.norms import batch_norm
from models.remat import run
from models.upsampling import TransposedConv, interpolate

Upsampling = Literal['transposed', 'bilinear']


class Decoder(nnx.Module):
    """An encoder's maps -> maps of stride s, 2 s, ..., the last of them the encoder's.

    Where the encoder has no map of a stride, the coarser one goes on alone.

    Attributes:
      channels: of each map, fine to coarse: `width` times its stride.
      strides: of each map.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int | None],
        width: int,
        output_stride: int,
        upsampling: Upsampling,
        remat: bool = False,
        **options,
    ):
        """Builds the decoder.

        Args:
          channels: of each of the encoder's maps.
          strides: of each; None for what has no positions, which is left out.
          width: channels of a map of stride 1.
          output_stride: of the finest map to be given.
          upsampling: 'transposed' or 'bilinear'.
          remat: steps are computed again for the gradient instead of kept.
          **options: `norm`, `dtype` and `rngs` of the parts.

        Raises:
          ValueError: for strides that are no powers of two, or none to end at.
        """
        skips = _positions(strides)
        self.encoded = tuple(strides)
        self.remat = remat
        coarsest = max(skips)
        choices = [2**k for k in range(coarsest.bit_length())]
        check_choice('UNet', 'output_stride', output_stride, choices)
        self.strides = tuple(choices[choices.index(output_stride) :])
        widths = [width * stride for stride in self.strides[:-1]]
        self.channels = *widths, channels[skips[coarsest]]
        self.steps = nnx.List()
        for index in reversed(range(len(widths))):
            position = skips.get(self.strides[index])
            skipped = 0 if position is None else channels[position]
            pair = self.channels[index + 1], widths[index]
            self.steps.append(UpStep(*pair, skipped, upsampling, **options))

    def __call__(self, encoded, size: tuple[int, int]):
        """(The encoder's maps, (H, W) of the images) -> list of `[B, H/s, W/s, D]`."""
        skips = {s: encoded[index] for s, index in _positions(self.encoded).items()}
        outputs = [skips[self.strides[-1]]]
        for step, stride in zip(self.steps, self.strides[-2::-1], strict=True):
            finer = tuple(-(-side // stride) for side in size)
            joined = step.join(outputs[-1], skips.get(stride), finer)
            outputs.append(run(step.merge, joined, self.remat))
        return outputs[::-1]


class DoubleConv(nnx.Module):
    """Twice a 3x3 convolution, normalised, with ReLU: `[B, H, W, C -> D]`."""

    def __init__(self, in_channels: int, out_channels: int, **options):
        self.conv1 = ConvNorm(in_channels, out_channels, **options)
        self.conv2 = ConvNorm(out_channels, out_channels, **options)

    def __call__(self, maps):
        return self.conv2(self.conv1(maps))


class UpStep(nnx.Module):
    """Brings a map to twice its size and merges it with the encoder's of that size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        skipped: int,
        upsampling: Upsampling,
        *,
        norm=batch_norm,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the step; `skipped` are channels of the encoder's map, 0 if none."""
        learnt = upsampling == 'transposed'
        enlarged = out_channels if learnt else in_channels
        self.enlarge = (
            TransposedConv(in_channels, enlarged, dtype=dtype, rngs=rngs)
            if learnt
            else interpolate
        )
        self.merge = DoubleConv(
            skipped + enlarged, out_channels, norm=norm, dtype=dtype, rngs=rngs
        )

    def join(self, maps, skip, size: tuple[int, int]):
        """(`[B, H/2, W/2, C]`, `[B, H, W, S]` or None, (H, W)) -> `[B, H, W, S + E]`"""
        enlarged = self.enlarge(maps)[:, : size[0], : size[1]]
        if skip is None:
            return enlarged
        return jnp.concatenate([skip, enlarged], axis=-1)


def _positions(strides: Sequence[int | None]) -> dict[int, int]:
    """Which map of an encoder has which stride; what has no positions is left out."""
    positions = {stride: index for index, stride in enumerate(strides) if stride}
    if not positions or any(stride & (stride - 1) for stride in positions):
        raise ValueError(
            f'UNet needs an encoder with maps whose strides are powers of two, such as '
            f'(4, 8, 16, 32); this one has {tuple(strides)}.'
        )
    return positions
