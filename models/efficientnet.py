"""EfficientNet, from B0 to B7, as torchvision and timm have it; maps, no logits."""

import functools
import math
from typing import Annotated, Literal, get_args

import gin
from annotated_types import Gt, Interval
from flax import nnx

from models.arguments import check_choice, check_rate
from models.blocks import ConvNorm
from models.catalog import add_models
from models.drop_path import growing_rates
from models.heads import Classifier
from models.mbconv import MBConv
from models.norms import batch_norm
from models.remat import run

Variant = Literal['b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7']
Stem = Literal['imagenet', 'small']

# Tan and Le 2019, table 1: expansion, kernel size, stride, channels, blocks of B0.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, TOP = 32, 1280
# How much wider and deeper than B0 each is, and the dropout of its classifier: the
# authors' code, https://github.com/tensorflow/tpu (models/official/efficientnet).
SCALES = {
    'b0': (1.0, 1.0, 0.2),
    'b1': (1.0, 1.1, 0.2),
    'b2': (1.1, 1.2, 0.3),
    'b3': (1.2, 1.4, 0.3),
    'b4': (1.4, 1.8, 0.4),
    'b5': (1.6, 2.2, 0.4),
    'b6': (1.8, 2.6, 0.5),
    'b7': (2.0, 3.1, 0.5),
}


@gin.register
class EfficientNet(nnx.Module):
    """EfficientNet: `[B, H, W, C] ->` 5 maps, halved from `[B, H/2, W/2, D]` on.

    Tan and Le 2019, https://arxiv.org/abs/1905.11946, padded alike on all sides as
    torchvision has it and timm where a name has no 'tf' (weights of those that have are
    refused). The last map is that of the
    1x1 convolution before the classifier: 1,280 channels for B0. Sizes are rounded up;
    the small stem doubles them.

    Attributes:
      channels: of each map, fine to coarse.
      strides: pixels of the image to one of each map.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        variant: Variant = 'b0',
        stem: Stem = 'imagenet',
        drop_path: Annotated[float, Interval(ge=0, lt=1)] = 0.2,
        remat: bool = False,
        epsilon: Annotated[float, Gt(0)] | None = None,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the net; a ValueError says what is right for a wrong argument.

        Args:
          input_shape: (height, width, channels) of an image.
          variant: 'b0' to 'b7'.
          stem: 'imagenet' (stride 2) or 'small' (stride 1; for images up to some 64
            pixels).
          drop_path: rate at which the last block's branch would be left out; the rates
            of the others grow towards it from zero. The paper has 0.2.
          remat: blocks are computed again for the gradient instead of kept.
          epsilon: of the normalisation. torchvision's unless said, 1e-5 and from B5 on
            1e-3; timm's weights of B5 and larger want 1e-5, and are refused without.
          dtype: of the activations; parameters and statistics are float32.
          rngs: draws the weights (`params`) and what is left out (`dropout`).
        """
        _check(variant, stem, drop_path, epsilon)
        options = {'norm': _norm(variant, epsilon), 'dtype': dtype, 'rngs': rngs}
        conv = functools.partial(ConvNorm, activation=nnx.silu, **options)
        width, first = wide(STEM, variant), 2 if stem == 'imagenet' else 1
        self.remat = remat
        self.stem = conv(input_shape[-1], width, 3, first)
        self.stages = _stages(width, variant, drop_path, options)
        widths = [wide(channels, variant) for *_, channels, _ in STAGES]
        self.top = conv(widths[-1], wide(TOP, variant), 1)
        self.channels = *(widths[i] for i in FINEST), wide(TOP, variant)
        self.strides = tuple(first * 2**level for level in range(5))

    def __call__(self, images):
        """`[B, H, W, C]` -> list of five maps, fine to coarse."""
        maps, outputs = self.stem(images), []
        for stage in self.stages:
            for block in stage:
                maps = run(block, maps, self.remat)
            outputs.append(maps)
        return [*(outputs[i] for i in FINEST), self.top(maps)]


def _check(variant, stem, drop_path, epsilon) -> None:
    check_choice('EfficientNet', 'variant', variant, get_args(Variant))
    check_choice('EfficientNet', 'stem', stem, get_args(Stem))
    check_rate('EfficientNet', drop_path=drop_path)
    if epsilon is not None and not epsilon > 0:
        raise ValueError(f'EfficientNet needs epsilon above 0; got {epsilon}.')


# The last stage of each size; the coarsest goes on to the top.
FINEST = 0, 1, 2, 4


def wide(channels: int, variant: str) -> int:
    """Channels of B0 scaled to a variant: the nearest 8, and at most a tenth less."""
    scaled = SCALES[variant][0] * channels
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _stages(in_channels: int, variant: str, drop_path: float, options) -> nnx.List:
    depths = [math.ceil(SCALES[variant][1] * count) for *_, count in STAGES]
    rates = iter(_rates(drop_path, sum(depths)))
    stages = nnx.List()
    for (expansion, kernel_size, stride, channels, _), depth in zip(
        STAGES, depths, strict=True
    ):
        out_channels, blocks = wide(channels, variant), nnx.List()
        for index in range(depth):
            shape = kernel_size, 1 if index else stride, expansion
            block = MBConv(in_channels, out_channels, *shape, next(rates), **options)
            blocks.append(block)
            in_channels = out_channels
        stages.append(blocks)
    return stages


def _rates(last: float, depth: int) -> list[float]:
    """One rate a block; the authors' code would give `last` to the block after all."""
    return growing_rates(last, depth + 1)[:-1]


def _norm(variant: str, epsilon: float | None):
    """torchvision's: the weights of B5 to B7 were trained with another epsilon."""
    usual = 1e-3 if variant in ('b5', 'b6', 'b7') else 1e-5
    return functools.partial(batch_norm, epsilon=usual if epsilon is None else epsilon)


for variant, (_, _, dropout) in SCALES.items():
    add_models(
        {f'efficientnet_{variant}': functools.partial(EfficientNet, variant=variant)},
        head=functools.partial(Classifier, dropout=dropout),
    )
