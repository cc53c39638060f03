"""U-Net: details of the fine maps join what the coarse ones see; maps, no logits."""

import functools
from collections.abc import Callable
from typing import Annotated, Literal, get_args

import gin
from annotated_types import Ge
from flax import nnx

from models.arguments import check_at_least_one, check_choice
from models.bridge import Bridge
from models.catalog import add_models
from models.decoder import Decoder, DoubleConv, Upsampling
from models.heads import Segmenter
from models.norms import batch_norm, group_norm
from models.pooling import max_pool
from models.remat import run

Norm = Literal['batch', 'group']

NORMS = {'batch': batch_norm, 'group': group_norm}
# Ronneberger et al. 2015, figure 1: 64 channels at 572 pixels, 1024 at 32.
DEPTH = 4


@gin.register
class UNet(nnx.Module):
    """U-Net: `[B, H, W, C] ->` maps `[B, H, W, width], [B, H/2, W/2, 2 width] ...`.

    Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597, padded so that sizes stay
    (halves are rounded up), with normalisation. The finest map has seen all the others:
    heads need no feature pyramid (`Segmenter.fpn = None`). The coarsest map is the
    encoder's last, behind the bridge if there is one.

    Attributes:
      channels: of each map, fine to coarse.
      strides: `output_stride`, twice that, ... to the encoder's last.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        width: Annotated[int, Ge(1)] = 64,
        depth: Annotated[int, Ge(1)] | None = None,
        norm: Norm = 'batch',
        upsampling: Upsampling = 'transposed',
        encoder: Callable[..., nnx.Module] | None = None,
        output_stride: Annotated[int, Ge(1)] = 1,
        bridge: Annotated[int, Ge(0)] = 0,
        remat: bool = False,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the net; a ValueError says what is right for a wrong argument.

        Args:
          input_shape: (height, width, channels) of an image.
          width: channels at full size, doubled at each halving; 16 beside an encoder.
          depth: halvings of the own encoder, 4 unless said.
          norm: 'batch', or 'group' for batches of few images.
          upsampling: 'transposed' (learnt, 2x2) or 'bilinear'.
          encoder: a backbone, such as @ResNet, in place of the own encoder.
          output_stride: of the finest map: 2 or 4 suit heat maps, and take less time.
          bridge: blocks of a transformer on the coarsest map; 12 in TransUNet.
          remat: blocks are computed again for the gradient instead of kept.
          dtype: of the activations; parameters and norms are float32.
          rngs: draws the weights, and what an encoder drops.
        """
        _check(width, depth, norm, upsampling, encoder, bridge)
        parts = {'dtype': dtype, 'rngs': rngs}
        options = {'remat': remat, 'norm': NORMS[norm], **parts}
        own = functools.partial(Encoder, width=width, depth=depth or DEPTH, **options)
        self.encoder = encoder(input_shape, **parts) if encoder else own(input_shape)
        maps = self.encoder.channels, self.encoder.strides
        self.decoder = Decoder(*maps, width, output_stride, upsampling, **options)
        self.channels, self.strides = self.decoder.channels, self.decoder.strides
        coarsest = input_shape, self.strides[-1], self.channels[-1]
        self.bridge = Bridge(*coarsest, bridge, remat, **parts) if bridge else None

    def __call__(self, images):
        """`[B, H, W, C]` -> list of maps, fine to coarse."""
        encoded = list(self.encoder(images))
        if self.bridge is not None:
            index = self.encoder.strides.index(self.strides[-1])
            encoded[index] = self.bridge(encoded[index])
        return self.decoder(encoded, images.shape[1:3])


class Encoder(nnx.Module):
    """Two convolutions at each size, then maxima of 2x2: maps of stride 1, 2, 4, ...

    Attributes:
      channels: of each map, doubled at every halving.
      strides: of each map.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        width: int,
        depth: int,
        remat: bool = False,
        **options,
    ):
        self.strides = tuple(2**level for level in range(depth + 1))
        self.channels = tuple(width * stride for stride in self.strides)
        self.remat = remat
        inputs = input_shape[-1], *self.channels[:-1]
        self.stages = nnx.List(
            DoubleConv(*pair, **options)
            for pair in zip(inputs, self.channels, strict=True)
        )

    def __call__(self, images):
        maps, outputs = images, []
        for stage in self.stages:
            if outputs:
                maps = max_pool(outputs[-1], (2, 2), (2, 2), 'SAME')
            outputs.append(run(stage, maps, self.remat))
        return outputs


def _check(width, depth, norm, upsampling, encoder, bridge) -> None:
    check_at_least_one('UNet', width=width, depth=DEPTH if depth is None else depth)
    if bridge < 0:
        raise ValueError(f'UNet needs bridge of at least 0; got {bridge}.')
    check_choice('UNet', 'norm', norm, get_args(Norm))
    check_choice('UNet', 'upsampling', upsampling, get_args(Upsampling))
    if encoder and depth is not None:
        raise ValueError(
            f'UNet takes depth {depth} or an encoder, not both: an encoder brings its '
            f'own depth; leave one of them out.'
        )


add_models({'unet': UNet}, head=functools.partial(Segmenter, fpn=None))
