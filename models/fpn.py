"""A feature pyramid: every map learns what the coarser ones see; knows no head."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx

from models.arguments import check_at_least_one
from models.blocks import ConvNorm
from models.convolution import convolve


class FPN(nnx.Module):
    """Maps fine to coarse -> as many of one width, each merged with the coarser ones.

    Lin et al. 2017, https://arxiv.org/abs/1612.03144: 1x1 convolutions, sums from
    coarse to fine, one 3x3 convolution on each. What it gives is normalised and
    rectified, where the paper has neither, for heads of a single layer.

    Attributes:
      channels: of each map that it gives, all `width`.
      strides: of each map that it gives.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        width: int = 128,
        levels: int | None = None,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the pyramid.

        Args:
          channels: of each map, fine to coarse.
          strides: of each map; each divides the next.
          width: channels of what it gives.
          levels: how many maps it gives, counted from the finest; all unless said.
          dtype: of the activations; parameters and statistics are float32.
          rngs: draws the weights from `params`.

        Raises:
          ValueError: for a width below 1, or strides that do not divide each other.
        """
        check_at_least_one('FPN', width=width)
        self.ratios = _ratios(strides)
        self.strides = tuple(strides)[:levels]
        self.channels = len(self.strides) * (width,)
        options = {'dtype': dtype, 'rngs': rngs}
        self.laterals = nnx.List(_lateral(c, width, **options) for c in channels)
        self.outputs = nnx.List(
            ConvNorm(width, width, **options) for _ in self.channels
        )

    def __call__(self, maps):
        """List of `[B, H/s, W/s, C]` -> list of `[B, H/s, W/s, width]`."""
        laterals = [lateral(m) for lateral, m in zip(self.laterals, maps, strict=True)]
        merged = [laterals.pop()]
        for lateral, ratio in zip(laterals[::-1], self.ratios[::-1], strict=True):
            merged.append(lateral + _enlarge(merged[-1], ratio, lateral.shape[1:3]))
        pairs = zip(self.outputs, merged[::-1], strict=False)
        return [output(m) for output, m in pairs]


def _lateral(in_channels: int, width: int, **options) -> nnx.Conv:
    # No bias: the normalisation that follows the sums would take it away.
    options = {'use_bias': False, 'conv_general_dilated': convolve, **options}
    return nnx.Conv(in_channels, width, (1, 1), **options)


def _ratios(strides: Sequence[int]) -> tuple[int, ...]:
    """How much coarser each map is than the one before it."""
    pairs = list(itertools.pairwise(strides))
    if any(coarse % fine for fine, coarse in pairs):
        given = tuple(strides)
        raise ValueError(f'FPN needs strides that divide each other; got {given}.')
    return tuple(coarse // fine for fine, coarse in pairs)


def _enlarge(maps, ratio: int, size: tuple[int, int]):
    """Repeats each cell, then cuts what reaches over the finer map's edge."""
    repeated = jnp.repeat(jnp.repeat(maps, ratio, axis=1), ratio, axis=2)
    return repeated[:, : size[0], : size[1]]
