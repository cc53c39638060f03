"""A detector that looks into regions for keypoints; knows no loss, no decoding."""

from collections.abc import Callable, Sequence
from typing import Annotated

import gin
from annotated_types import Ge, Interval
from flax import nnx

from models.arguments import check_at_least_one
from models.blocks import he_normal
from models.convolution import convolve
from models.heads.detector import Detector
from models.heads.linear import Float32Linear
from models.heads.neck import Stride, Width
from models.regions import crop
from models.upsampling import interpolate, spread

CROP = 14  # cells along each side of a region; heat maps have four times as many


@gin.register
class KeypointRCNN(Detector):
    """A `Detector`, and heat maps of the keypoints of what lies in some regions.

    The keypoint branch of Mask R-CNN (He et al. 2017, https://arxiv.org/abs/1703.06870,
    section 5) behind a first stage without anchors (Zhou et al. 2021,
    https://arxiv.org/abs/2103.07461): no second stage moves boxes or scores. It looks
    into whatever regions the task asks for, R of each image. To what a detector gives,
    the same arrays under the same names, it adds

    - `regions [B, R, 4]`: as they were asked for;
    - `points [B, R, 56, 56, keypoints]`: logits of where a keypoint is in its region.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_outputs: tuple[int, int],
        fpn: Width | None = 128,
        output_stride: Stride | None = None,
        prior: Annotated[float, Interval(gt=0, lt=1)] = 0.1,
        depth: Annotated[int, Ge(1)] = 8,
        width: Annotated[int, Ge(1)] = 512,
        *,
        strides: Sequence[int | None],
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the head.

        Args:
          channels, fpn, output_stride, prior, strides, dtype, rngs: as in `Detector`.
          num_outputs: how many kinds of objects, and how many keypoints each has.
          depth: convolutions that look at a region.
          width: channels of each.

        Raises:
          ValueError: as `Detector`; and for a task that has no keypoints, for none at
            all, and for a depth or width below 1.
        """
        num_classes, num_keypoints = _both(num_outputs)
        sizes = {'num_keypoints': num_keypoints, 'depth': depth, 'width': width}
        check_at_least_one('KeypointRCNN', **sizes)
        options = {'dtype': dtype, 'rngs': rngs}
        super().__init__(
            channels, num_classes, fpn, output_stride, prior, strides=strides, **options
        )
        self.points = RegionBranch(
            self.neck.channels, num_keypoints, depth, width, **options
        )

    def __call__(self, maps, regions: Callable | None = None):
        """List of maps -> what a detector gives, `regions` and `points`.

        Args:
          maps: fine to coarse.
          regions: what a detector gives -> boxes [B, R, 4] of y0, x0, y1, x1 in pixels
            of the image; without it only what a detector gives is given.
        """
        merged = self.neck(maps)
        found = self.look(merged)
        if regions is None:
            return found
        boxes = regions(found)
        points = self.points(crop(merged, boxes / self.stride, CROP))
        return {**found, 'regions': boxes, 'points': points}


def _both(num_outputs) -> tuple[int, int]:
    """The number of classes, and that of keypoints."""
    if not isinstance(num_outputs, Sequence) or len(num_outputs) != 2:
        raise ValueError(
            f'KeypointRCNN needs a task with classes and keypoints, such as '
            f'@KeypointDetection(); this one asks for {num_outputs} outputs alone.'
        )
    return num_outputs


class RegionBranch(nnx.Module):
    """Crops -> logits of four times their size: `[B, R, S, S, D] -> [B, R, 4S, 4S, K]`.

    Without normalisation, as in the paper: a batch of regions is not one of images.
    """

    def __init__(
        self,
        channels: int,
        num_keypoints: int,
        depth: int,
        width: int,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the branch."""
        options = {'dtype': dtype, 'rngs': rngs}
        self.convs = nnx.List(
            nnx.Conv(
                channels if level == 0 else width,
                width,
                (3, 3),
                kernel_init=he_normal(),
                conv_general_dilated=convolve,
                **options,
            )
            for level in range(depth)
        )
        # Each cell becomes 2x2, which is a transposed convolution of stride 2.
        self.dense = Float32Linear(
            width,
            4 * num_keypoints,
            kernel_init=nnx.initializers.normal(0.01),
            **options,
        )

    def __call__(self, crops):
        batch, count, size, _, channels = crops.shape
        maps = crops.reshape(-1, size, size, channels)
        for conv in self.convs:
            maps = nnx.relu(conv(maps))
        logits = interpolate(spread(self.dense(maps)))
        return logits.reshape(batch, count, *logits.shape[1:])
