"""A head that finds objects by their centres; knows no loss, no boxes, no decoding."""

import math
from collections.abc import Sequence
from typing import Annotated

import gin
from annotated_types import Ge, Interval
from flax import nnx

from models.arguments import check_at_least_one
from models.blocks import ConvNorm
from models.heads.linear import Float32Linear
from models.heads.neck import Neck, Stride, Width


@gin.register
class Detector(nnx.Module):
    """Maps -> what each cell says of an object whose centre lies in it, in float32.

    Without anchors, as CenterNet: Zhou et al. 2019, https://arxiv.org/abs/1904.07850.
    With h and w cells, of s pixels each, sizes rounded up, a dictionary of

    - `heatmap [B, h, w, classes]`: logits of a centre of this class;
    - `size [B, h, w, 2]` and `offset [B, h, w, 2]`: of the box, and of its centre
      within the cell; plain numbers, to which the task gives order and units.

    Attributes:
      stride: s, pixels of the image to a cell.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: Annotated[int, Ge(1)],
        fpn: Width | None = 128,
        output_stride: Stride | None = None,
        prior: Annotated[float, Interval(gt=0, lt=1)] = 0.1,
        *,
        strides: Sequence[int | None],
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the head.

        Args:
          channels, fpn, output_stride, strides, dtype, rngs: as in `KeypointHead`.
          num_classes: how many kinds of objects.
          prior: probability of a centre that an untrained head gives every cell, so
            that the many cells without one do not drown the first steps (Lin et al.
            2017, https://arxiv.org/abs/1708.02002, section 3.3).

        Raises:
          ValueError: as `KeypointHead`, and for a prior outside (0, 1).
        """
        owner = type(self).__name__
        check_at_least_one(owner, num_classes=num_classes)
        if not 0 < prior < 1:
            raise ValueError(f'{owner} needs prior in (0, 1); got {prior}.')
        options = {'dtype': dtype, 'rngs': rngs}
        self.neck = Neck(owner, channels, strides, fpn, output_stride, **options)
        self.stride = self.neck.stride
        width, logit = self.neck.channels, math.log(prior / (1 - prior))
        self.heatmap = Branch(width, num_classes, logit, **options)
        self.size = Branch(width, 2, **options)
        self.offset = Branch(width, 2, **options)

    def __call__(self, maps):
        """List of maps -> {'heatmap': ..., 'size': ..., 'offset': ...}"""
        return self.look(self.neck(maps))

    def look(self, merged):
        """The same, of the one map that all are merged into."""
        return {
            'heatmap': self.heatmap(merged),
            'size': self.size(merged),
            'offset': self.offset(merged),
        }


class Branch(nnx.Module):
    """3x3 convolution, then a dense layer: `[B, h, w, D] -> float32 [B, h, w, C]`."""

    def __init__(
        self, channels: int, num_outputs: int, start: float = 0.0, *, dtype, rngs
    ):
        """Builds the branch; `start` is what it gives before it has learnt anything."""
        self.conv = ConvNorm(channels, channels, dtype=dtype, rngs=rngs)
        self.dense = Float32Linear(
            channels,
            num_outputs,
            kernel_init=nnx.initializers.normal(0.01),
            bias_init=nnx.initializers.constant(start),
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(self, maps):
        return self.dense(self.conv(maps))
