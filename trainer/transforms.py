"""Host transforms: bring one decoded image to a fixed size; know nothing of batches.

Each maps {'image': uint8 [H, W, C], ...} to the same with another image, and labels
that lie in it moved along: an object of which less than `min_visible` of the box is
left becomes padding. A transform whose first parameter is `rng` draws from it alone, so
that (seed, position) fixes the picture. Bound in a config as
`transforms = [@ResizeShortSide(), @CenterCrop()]`.
"""

import dataclasses
import math
from typing import Annotated, Literal

import cv2
import gin
import numpy as np
from annotated_types import Gt, Interval

from trainer.errors import UserError
from trainer.motion import move_labels

cv2.setNumThreads(1)  # the reader has its own threads; a pool in each would fight them

ATTEMPTS = 10  # to draw a crop that fits, before the largest one in the middle

# What is taken where neither the config nor the weights of a run say it.
SHORT_SIDE, SIDE = 256, 224

Size = Annotated[int, Gt(0)]
Interpolation = Literal['nearest', 'bilinear', 'bicubic', 'lanczos']
Fraction = Annotated[float, Interval(gt=0, le=1)]
Share = Annotated[float, Interval(ge=0, le=1)]
Box = tuple[int, int, int, int]  # top, left, height, width


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class ResizeShortSide:
    """The image with its short side at `size` pixels, its proportions kept.

    Attributes:
      size: None is what the weights expect that a run begins with, else 256.
      interpolation: as in `resize`; None is what those weights expect.
    """

    size: Size | None = None
    interpolation: Interpolation | None = None

    @property
    def pixels(self) -> int:
        """Of the short side: `size`, or what is taken where nobody says it."""
        return self.size or SHORT_SIDE

    def __call__(self, example: dict) -> dict:
        """[H, W, C] -> [pixels, W', C] or [H', pixels, C]."""
        height, width = example['image'].shape[:2]
        short = self.pixels
        scale = short / min(height, width)
        shape = [max(short, round(side * scale)) for side in (height, width)]
        box = (0, 0, height, width)
        return take(example, box, *shape, interpolation=self.interpolation)


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class CenterCrop:
    """The square of `size` pixels in the middle.

    Attributes:
      size: None is what the weights expect that a run begins with, else 224.
      min_visible: objects that keep less of their box become padding.
    """

    size: Size | None = None
    min_visible: Share = 0.1

    @property
    def pixels(self) -> int:
        """Of each side: `size`, or what is taken where nobody says it."""
        return self.size or SIDE

    def __call__(self, example: dict) -> dict:
        """[H, W, C] -> [pixels, pixels, C]; a UserError where the image is smaller."""
        height, width = example['image'].shape[:2]
        size = self.pixels
        if min(height, width) < size:
            raise UserError(
                f'CenterCrop.size is {size}, but an image has {height} x {width} '
                f'pixels; put @ResizeShortSide() before it.'
            )
        box = ((height - size) // 2, (width - size) // 2, size, size)
        return take(example, box, size, size, self.min_visible)


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomResizedCrop:
    """A random part of the image, resized to a square (Szegedy et al., 2015).

    Attributes:
      size: side of the result, pixels; None as in `CenterCrop`.
      min_area, max_area: the part's area, as a fraction of the image's.
      max_ratio: the part's sides differ by at most this factor.
      min_visible: objects that keep less of their box become padding.
      interpolation: as in `ResizeShortSide`.
    """

    size: Size | None = None
    min_area: Fraction = 0.08
    max_area: Fraction = 1.0
    max_ratio: Annotated[float, Interval(ge=1)] = 4 / 3
    min_visible: Share = 0.1
    interpolation: Interpolation | None = None

    @property
    def pixels(self) -> int:
        """Of each side of the result, as in `CenterCrop`."""
        return self.size or SIDE

    def __call__(self, rng: np.random.Generator, example: dict) -> dict:
        """[H, W, C] -> [pixels, pixels, C]."""
        box = self.draw(rng, *example['image'].shape[:2])
        shape = 2 * (self.pixels,)
        return take(example, box, *shape, self.min_visible, self.interpolation)

    def draw(self, rng, height: int, width: int) -> Box:
        """A box (top, left, height, width) inside the image, in pixels."""
        limit = math.log(self.max_ratio)
        for _ in range(ATTEMPTS):
            area = height * width * rng.uniform(self.min_area, self.max_area)
            ratio = math.exp(rng.uniform(-limit, limit))
            h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < h <= height and 0 < w <= width:
                top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
                return int(top), int(left), h, w
        h = min(height, max(1, round(width * self.max_ratio)))
        w = min(width, max(1, round(height * self.max_ratio)))
        return (height - h) // 2, (width - w) // 2, h, w


def take(
    example: dict,
    box: Box,
    height: int,
    width: int,
    min_visible: float = 0.0,
    interpolation: Interpolation | None = None,
) -> dict:
    """A box of the example's image at [height, width], its labels moved along.

    The image is resized as `resize` does, a segmentation takes the nearest pixel's.
    """
    top, left, *sides = box
    moved = {'image': crop(example['image'], *box)}
    if (height, width) != tuple(sides):
        moved['image'] = resize(moved['image'], height, width, interpolation)
    if 'segmentation' in example:
        part = crop(example['segmentation'], *box)
        moved['segmentation'] = cv2.resize(
            part, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
    y, x = height / sides[0], width / sides[1]
    matrix = np.array([[x, 0, -left * x], [0, y, -top * y]], np.float32)
    moved |= move_labels(example, matrix, (height, width), min_visible)
    return {**example, **moved}


def crop(image: np.ndarray, top: int, left: int, height: int, width: int):
    """That box of the image, [height, width, C]."""
    return image[top : top + height, left : left + width]


def resize(
    image: np.ndarray,
    height: int,
    width: int,
    interpolation: Interpolation | None = None,
) -> np.ndarray:
    """[H, W, C] -> [height, width, C], by default bilinear, or area means to half.

    Above a half every pixel of the image still counts in a bilinear mean, which takes a
    fifth of the time. With an interpolation it is Pillow's, which counts every pixel at
    any size (but for 'nearest'): what the weights of others were trained on.
    """
    if interpolation is not None:
        return _resize_as_pillow(image, height, width, interpolation)
    shrinks = 2 * height <= image.shape[0] or 2 * width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=method)
    return resized.reshape(height, width, image.shape[-1])  # OpenCV drops a C of 1


def _resize_as_pillow(image, height: int, width: int, interpolation: str):
    from PIL import Image

    method = Image.Resampling[interpolation.upper()]
    channels = [image] if image.shape[-1] == 3 else np.moveaxis(image, -1, 0)
    resized = [
        np.asarray(Image.fromarray(part).resize((width, height), method))
        for part in channels
    ]
    return resized[0] if image.shape[-1] == 3 else np.stack(resized, -1)
