"""ResNet, from 18 to 152 layers, as torchvision has it; maps, no logits."""

from typing import Literal, get_args

import gin
from flax import nnx

from models.arguments import check_choice
from models.blocks import BasicBlock, Bottleneck, ConvNorm

Depth = Literal[18, 34, 50, 101, 152]
Stem = Literal['imagenet', 'small']

# He et al. 2016a, table 1: the block, and how many of it in each stage.
STAGES = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
WIDTHS = (64, 128, 256, 512)


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
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the net.

        Args:
          input_shape: (height, width, channels) of an image.
          depth: layers that have weights.
          stem: 'imagenet' (7x7 of stride 2, pooling) or 'small' (3x3 of stride 1,
            no pooling; for images up to some 64 pixels).
          dtype: of the activations; parameters and statistics are float32.
          rngs: draws the weights from `params`.

        Raises:
          ValueError: for a depth or stem that there is not.
        """
        check_choice('ResNet', 'depth', depth, get_args(Depth))
        check_choice('ResNet', 'stem', stem, get_args(Stem))
        block, counts = STAGES[depth]
        self.channels = tuple(block.expansion * width for width in WIDTHS)
        first = 4 if stem == 'imagenet' else 1
        self.strides = tuple(first * 2**stage for stage in range(len(counts)))
        make_stem = ImageNetStem if stem == 'imagenet' else ConvNorm
        self.stem = make_stem(input_shape[-1], WIDTHS[0], dtype=dtype, rngs=rngs)
        self.stages = nnx.List()
        in_channels = WIDTHS[0]
        for stage, (width, count) in enumerate(zip(WIDTHS, counts, strict=True)):
            blocks = nnx.List()
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(in_channels, width, stride, dtype=dtype, rngs=rngs))
                in_channels = self.channels[stage]
            self.stages.append(blocks)

    def __call__(self, images):
        """`[B, H, W, C]` -> list of four maps, fine to coarse."""
        maps = self.stem(images)
        outputs = []
        for blocks in self.stages:
            for block in blocks:
                maps = block(maps)
            outputs.append(maps)
        return outputs


class ImageNetStem(nnx.Module):
    """7x7 convolution of stride 2, then 3x3 maxima of stride 2: `[B, H/4, W/4, D]`."""

    def __init__(self, in_channels: int, out_channels: int, *, dtype='float32', rngs):
        self.conv = ConvNorm(in_channels, out_channels, 7, 2, dtype=dtype, rngs=rngs)

    def __call__(self, images):
        padding = ((1, 1), (1, 1))
        return nnx.max_pool(self.conv(images), (3, 3), (2, 2), padding)
