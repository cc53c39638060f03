"""Parts that convolutional nets share; arrays in, arrays out.

Every part keeps parameters and statistics in float32 and works in the `dtype`
of its activations. Knows nothing of nets, training or configs.
"""

import functools
from collections.abc import Callable

from flax import nnx

from models.convolution import convolve
from models.norms import batch_norm


class ConvNorm(nnx.Module):
    """Convolution without bias, normalisation, and an activation where wanted.

    `[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), D]` for odd kernels:
    padded by `kernel_size // 2` on each side, as PyTorch does ('SAME' would pad
    differently at stride 2).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        groups: int = 1,
        norm=batch_norm,
        activation: Callable | None = nnx.relu,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the parts; `norm(channels, rngs=)` makes the one in the middle.

        `activation=None` leaves that to who adds the maps.
        """
        padding = kernel_size // 2
        self.conv = nnx.Conv(
            in_channels,
            out_channels,
            (kernel_size, kernel_size),
            stride,
            padding=((padding, padding), (padding, padding)),
            feature_group_count=groups,
            use_bias=False,
            kernel_init=he_normal(groups),
            conv_general_dilated=convolve,
            dtype=dtype,
            rngs=rngs,
        )
        # Scales start at one, also the last of a block: starting that at zero (Goyal et
        # al. 2017) gained nothing on the digits, and would stop the block's gradients.
        self.norm = norm(out_channels, rngs=rngs)
        self.activation = activation

    def __call__(self, images, shortcut=None):
        """The shortcut, if there is one, is added before the activation."""
        return self.norm(self.conv(images), shortcut, self.activation)


def he_normal(groups: int = 1):
    """An initializer over the outputs that an input reaches: those of its group.

    He et al. 2015, https://arxiv.org/abs/1502.01852, section 2.2, backward propagation.
    """
    return nnx.initializers.variance_scaling(2.0 * groups, 'fan_out', 'normal')


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016a, section 3.3).

    `[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), width]`
    """

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, **parts):
        """Builds the block; `parts` are what every `ConvNorm` of it takes."""
        conv = functools.partial(ConvNorm, **parts)
        self.conv1 = conv(in_channels, width, 3, stride)
        self.conv2 = conv(width, width, 3)
        self.shortcut = _shortcut(conv, in_channels, width, stride)

    def __call__(self, images):
        return self.conv2(self.conv1(images), self.shortcut(images))


class Bottleneck(nnx.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut (He et al. 2016a, section 4.1).

    `[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), 4 width]`. The stride
    stands on the 3x3 ("v1.5"), where the paper has it on the first 1x1 and throws
    three of four pixels away: https://arxiv.org/abs/1512.03385 and torchvision.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int = 1,
        *,
        widen: int = 1,
        groups: int = 1,
        **parts,
    ):
        """Builds the block; `parts` are what every `ConvNorm` of it takes.

        The 3x3 has `widen * width` channels, in so many `groups`.
        """
        conv = functools.partial(ConvNorm, **parts)
        inner, out_channels = widen * width, self.expansion * width
        self.conv1 = conv(in_channels, inner, 1)
        self.conv2 = conv(inner, inner, 3, stride, groups=groups)
        self.conv3 = conv(inner, out_channels, 1)
        self.shortcut = _shortcut(conv, in_channels, out_channels, stride)

    def __call__(self, images):
        maps = self.conv2(self.conv1(images))
        return self.conv3(maps, self.shortcut(images))


def _shortcut(conv, in_channels: int, out_channels: int, stride: int):
    """The identity where shapes allow it, else a projection (the paper's option B)."""
    if stride == 1 and in_channels == out_channels:
        return nnx.identity
    return conv(in_channels, out_channels, 1, stride, activation=None)
