"""ResNet, from 18 to 152 layers, as torchvision has it; wide ones and ResNeXt; maps."""

import functools
from typing import Literal, get_args

import gin
from flax import nnx

from models.arguments import check_choice
from models.blocks import BasicBlock, Bottleneck, ConvNorm
from models.catalog import add_models
from models.norms import batch_norm, group_norm
from models.pooling import max_pool
from models.remat import run

Depth = Literal[18, 34, 50, 101, 152]
Stem = Literal['imagenet', 'small']
Width = Literal['1x', '2x', '32x4d']
Norm = Literal['batch', 'group']

# He et al. 2016a, table 1: the block, and how many of it in each stage.
STAGES = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
WIDTHS = (64, 128, 256, 512)
# Of the 3x3 in a bottleneck. Zagoruyko and Komodakis 2016,
# https://arxiv.org/abs/1605.07146; Xie et al. 2017, https://arxiv.org/abs/1611.05431,
# whose 32 groups of 4 channels make 128 in the first stage, twice its 64.
INNER = {'1x': {}, '2x': {'widen': 2}, '32x4d': {'widen': 2, 'groups': 32}}
NORMS = {'batch': batch_norm, 'group': group_norm}


@gin.register
class ResNet(nnx.Module):
    """Residual net: `[B, H, W, C] -> 4 maps`, halved and widened stage by stage.

    He et al. 2016a, https://arxiv.org/abs/1512.03385, in torchvision's version 1.5.
    The last map is `[B, H/32, W/32, D]`, or `[B, H/8, W/8, D]` with the small stem
    (sizes rounded up), where D is 512, or 2048 from 50 layers on.

    Attributes:
      channels: of each map, fine to coarse.
      strides: pixels of the image to one of each map.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        depth: Depth = 50,
        stem: Stem = 'imagenet',
        width: Width = '1x',
        norm: Norm = 'batch',
        remat: bool = False,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the net; a ValueError lists the choices of a wrong argument.

        Args:
          input_shape: (height, width, channels) of an image.
          depth: layers that have weights.
          stem: 'imagenet' (7x7 of stride 2, pooling) or 'small' (3x3 of stride 1,
            no pooling; for images up to some 64 pixels).
          width: from 50 layers on also '2x' (Wide ResNet) or '32x4d' (ResNeXt).
          norm: 'batch', or 'group' for small batches.
          remat: blocks are computed again for the gradient instead of kept.
          dtype: of the activations; parameters and statistics are float32.
          rngs: draws the weights from `params`.
        """
        _check(depth, stem, width, norm)
        parts = {'norm': NORMS[norm], 'dtype': dtype, 'rngs': rngs}
        block, counts = STAGES[depth]
        self.channels = tuple(block.expansion * width for width in WIDTHS)
        self.strides = (4, 8, 16, 32) if stem == 'imagenet' else (1, 2, 4, 8)
        self.remat = remat
        make_stem = ImageNetStem if stem == 'imagenet' else ConvNorm
        self.stem = make_stem(input_shape[-1], WIDTHS[0], **parts)
        block = functools.partial(block, **INNER[width], **parts)
        in_channels = WIDTHS[:1] + self.channels[:-1]
        stage = functools.partial(_stage, block)
        self.stages = nnx.List(map(stage, in_channels, self.channels, WIDTHS, counts))

    def __call__(self, images):
        """`[B, H, W, C]` -> list of four maps, fine to coarse."""
        maps = self.stem(images)
        outputs = []
        for blocks in self.stages:
            for block in blocks:
                maps = run(block, maps, self.remat)
            outputs.append(maps)
        return outputs


class ImageNetStem(ConvNorm):
    """7x7 convolution of stride 2, then 3x3 maxima of stride 2: `[B, H/4, W/4, D]`."""

    def __init__(self, in_channels: int, out_channels: int, **parts):
        super().__init__(in_channels, out_channels, 7, 2, **parts)

    def __call__(self, images):
        padding = ((1, 1), (1, 1))
        return max_pool(super().__call__(images), (3, 3), (2, 2), padding)


def _check(depth, stem, width, norm) -> None:
    check_choice('ResNet', 'depth', depth, get_args(Depth))
    check_choice('ResNet', 'stem', stem, get_args(Stem))
    check_choice('ResNet', 'width', width, get_args(Width))
    check_choice('ResNet', 'norm', norm, get_args(Norm))
    if STAGES[depth][0] is BasicBlock and width != '1x':
        raise ValueError(
            f"ResNet of depth {depth} has no width {width!r}; choose '1x', "
            f'or depth 50, 101 or 152.'
        )


def _stage(block, in_channels: int, out_channels: int, width: int, count: int):
    """The blocks of a stage; the first one widens, and strides but in the first."""
    stride = 1 if width == WIDTHS[0] else 2
    first = block(in_channels, width, stride)
    return nnx.List([first, *(block(out_channels, width) for _ in range(count - 1))])


add_models(
    {
        **{
            f'resnet{depth}': functools.partial(ResNet, depth=depth) for depth in STAGES
        },
        'wide_resnet50_2': functools.partial(ResNet, depth=50, width='2x'),
        'wide_resnet101_2': functools.partial(ResNet, depth=101, width='2x'),
        'resnext50_32x4d': functools.partial(ResNet, depth=50, width='32x4d'),
    }
)
