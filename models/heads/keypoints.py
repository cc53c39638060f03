"""A head that draws one heat map for each keypoint; knows no loss and no decoding."""

from collections.abc import Sequence
from typing import Annotated

import gin
from annotated_types import Ge
from flax import nnx

from models.arguments import check_at_least_one
from models.heads.linear import Float32Linear
from models.heads.neck import Neck, Stride, Width


@gin.register
class KeypointHead(nnx.Module):
    """Maps -> heat maps `[B, H/s, W/s, keypoints]`, sizes rounded up, in float32.

    Without a squashing function: the task says whether a height is a value or a
    logit. Xiao et al. 2018, https://arxiv.org/abs/1804.06208, where the maps are
    enlarged; here UNet does that, or the pyramid merges the coarse into the fine.

    Attributes:
      stride: s, pixels of the image to a cell of the heat maps.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_keypoints: Annotated[int, Ge(1)],
        fpn: Width | None = 128,
        output_stride: Stride | None = None,
        *,
        strides: Sequence[int | None],
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the head.

        Args:
          channels: of each map, fine to coarse.
          num_keypoints: how many heat maps.
          fpn: width of the feature pyramid that merges the maps; None takes one as it
            is, for backbones that have merged them already, such as UNet.
          output_stride: s, one of the backbone's strides; finer maps are left out. The
            finest map's unless said: 4 for ResNet, 1 for UNet.
          strides: of each map.
          dtype: of the activations; parameters, statistics and outputs are float32.
          rngs: draws the weights from `params`.

        Raises:
          ValueError: for no keypoints, a width below 1, a stride that no map has, or a
            backbone without maps.
        """
        check_at_least_one('KeypointHead', num_keypoints=num_keypoints)
        options = {'dtype': dtype, 'rngs': rngs}
        neck = Neck('KeypointHead', channels, strides, fpn, output_stride, **options)
        self.neck = neck
        self.stride = neck.stride
        # Near zero, as most of a heat map is.
        small = nnx.initializers.normal(0.01)
        self.dense = Float32Linear(
            neck.channels, num_keypoints, kernel_init=small, **options
        )

    def __call__(self, maps):
        """List of maps -> `[B, H/s, W/s, keypoints]`"""
        return self.dense(self.neck(maps))
