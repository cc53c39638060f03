"""Where in an image file the pixels are that a net was given, and back.

Knows what host transforms do to labels, not which transforms there are; no task.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trainer.data.source import IGNORE

HALVINGS = 12  # a crop that keeps less of a file's side than 2^-12 is not followed


@dataclasses.dataclass(frozen=True)
class Frame:
    """An upright motion: place in the file * scale + offset = place in the net's.

    Attributes:
      file, net: (H, W) of the file's picture, and of what the net was given.
      scale, offset: (y, x).
    """

    file: tuple[int, int]
    net: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    def resized(self, net: tuple[int, int]) -> 'Frame':
        """The frame after what the net is given has been resized."""
        factors = [new / old for new, old in zip(net, self.net, strict=True)]
        scale = tuple(s * f for s, f in zip(self.scale, factors, strict=True))
        offset = tuple(o * f for o, f in zip(self.offset, factors, strict=True))
        return Frame(self.file, net, scale, offset)

    def to_file(self, decoded: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What a task decodes of an image, with places and maps in the file's pixels.

        Args:
          decoded: `boxes` [K, 4], `keypoints` [..., 3] of x, y and `segmentation`
            [H, W] are moved, boxes cut off at the picture's edge; all else stays.
        """
        moved = dict(decoded)
        if 'boxes' in decoded:
            whole = (decoded['boxes'] - np.tile(self.offset, 2)) / np.tile(
                self.scale, 2
            )
            ends = np.tile(self.file, 2)
            moved['boxes'] = np.clip(whole, 0, ends).astype(np.float32)
        if 'keypoints' in decoded:
            places = decoded['keypoints'].astype(np.float64)
            places[..., :2] -= self.offset[::-1]
            places[..., :2] /= self.scale[::-1]
            moved['keypoints'] = places.astype(np.float32)
        if 'segmentation' in decoded:
            moved['segmentation'] = self._spread(decoded['segmentation'])
        return moved

    def _spread(self, found: np.ndarray) -> np.ndarray:
        """A map of the file's size; IGNORE where the net has seen nothing."""
        cells = [
            np.floor((np.arange(size) + 0.5) * scale + offset).astype(int)
            for size, scale, offset in zip(
                self.file, self.scale, self.offset, strict=True
            )
        ]
        seen = [(c >= 0) & (c < n) for c, n in zip(cells, found.shape, strict=True)]
        rows, columns = (
            np.clip(c, 0, n - 1) for c, n in zip(cells, found.shape, strict=True)
        )
        spread = found[np.ix_(rows, columns)]
        inside = seen[0][:, None] & seen[1]
        return np.where(inside, spread, IGNORE).astype(np.uint8)


def whole(size: tuple[int, int]) -> Frame:
    """The frame of a file that is given to the net as it is."""
    return Frame(size, size, (1.0, 1.0), (0.0, 0.0))


def transformed(image: np.ndarray, transforms: Sequence[Callable]):
    """An image [H, W, C] after transforms without chance, and its frame.

    Squares around its middle go along as objects; the largest that stays whole says
    where the picture has gone.

    Raises:
      UserError: a transform refuses the image.
    """
    example = {'image': image, **_squares(image.shape[:2])}
    before = example['keypoints'][..., :2]
    for transform in transforms:
        example = transform(example)
    net = example['image'].shape[:2]
    kept = (example['keypoints'][..., 2] > 0).all(axis=1)
    if not kept.any():
        return example['image'], whole(image.shape[:2]).resized(net)
    largest = int(np.argmax(kept))
    old = before[largest].astype(np.float64)
    new = example['keypoints'][largest, :, :2].astype(np.float64)
    scale = (new[1] - new[0]) / (old[1] - old[0])
    offset = new[0] - scale * old[0]
    frame = Frame(image.shape[:2], net, tuple(scale[::-1]), tuple(offset[::-1]))
    return example['image'], frame


def _squares(size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Boxes around the middle, the largest first, with two of their corners."""
    middle = np.array(size) / 2
    shares = 0.5 ** np.arange(HALVINGS)[:, None]
    boxes = np.concatenate([middle - middle * shares, middle + middle * shares], axis=1)
    corners = np.stack([boxes[:, 1::-1], boxes[:, :1:-1]], axis=1)  # (x, y)
    seen = np.full((HALVINGS, 2, 1), 2.0)
    return {
        'boxes': boxes.astype(np.float32),
        'box_labels': np.zeros(HALVINGS, np.int32),
        'areas': np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).astype(np.float32),
        'keypoints': np.concatenate([corners, seen], axis=2).astype(np.float32),
    }
