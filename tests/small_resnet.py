"""A residual net small enough for many runs in one test, as a config may name it."""

import gin
from flax import nnx

from models.blocks import BasicBlock, ConvNorm

WIDTHS = (16, 32, 32)
GIN = """include 'configs/resnet18.gin'
import tests.small_resnet
Net.backbone = @SmallResNet
"""


@gin.register
class SmallResNet(nnx.Module):
    """`[B, H, W, C] -> [[B, H/8, W/8, 32]]`, BatchNorm after each convolution."""

    def __init__(self, input_shape: tuple[int, int, int], *, dtype='float32', rngs):
        parts = {'dtype': dtype, 'rngs': rngs}
        self.channels, self.strides = WIDTHS[-1:], (8,)
        self.stem = ConvNorm(input_shape[-1], WIDTHS[0], **parts)
        inputs = WIDTHS[:1] + WIDTHS[:-1]
        pairs = zip(inputs, WIDTHS, strict=True)
        self.blocks = nnx.List(BasicBlock(i, o, 2, **parts) for i, o in pairs)

    def __call__(self, images):
        maps = self.stem(images)
        for block in self.blocks:
            maps = block(maps)
        return [maps]
