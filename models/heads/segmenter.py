"""A head that gives every pixel its classes; knows no loss and no crop."""

from collections.abc import Sequence
from typing import Annotated

import gin
import jax
from annotated_types import Ge
from flax import nnx

from models.arguments import check_at_least_one
from models.heads.linear import Float32Linear
from models.heads.neck import Neck, Width


@gin.register
class Segmenter(nnx.Module):
    """Maps -> logits of each pixel, `[B, H', W', classes]` in float32.

    Logits of the finest map, enlarged by its stride s: H' is H rounded up to a
    multiple of s, so that the image is covered; what reaches below or to the right
    of it is for the task to cut.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: Annotated[int, Ge(1)],
        fpn: Width | None = 128,
        *,
        strides: Sequence[int | None],
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the head.

        Args:
          channels: of each map, fine to coarse.
          num_classes: how many logits a pixel has.
          fpn: width of the feature pyramid that merges the maps; None takes the finest
            as it is, for backbones that have merged them already, such as UNet.
          strides: of each map.
          dtype: of the activations; parameters, statistics and logits are float32.
          rngs: draws the weights from `params`.

        Raises:
          ValueError: for no classes, a width below 1, or a backbone without maps.
        """
        check_at_least_one('Segmenter', num_classes=num_classes)
        options = {'dtype': dtype, 'rngs': rngs}
        self.neck = Neck('Segmenter', channels, strides, fpn, **options)
        self.dense = Float32Linear(self.neck.channels, num_classes, **options)

    def __call__(self, maps):
        """List of maps -> `[B, H', W', classes]`, H' and W' as said above."""
        logits = self.dense(self.neck(maps))
        batch, height, width, classes = logits.shape
        stride = self.neck.stride
        shape = batch, stride * height, stride * width, classes
        return jax.image.resize(logits, shape, 'bilinear')
