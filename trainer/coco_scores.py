"""Average precision as COCO defines it, from similarities: of boxes, or of keypoints.

Exact: what COCO's own tool finds (https://cocodataset.org/#detection-eval) over objects
of every size. Plain arrays in, numbers out; knows no task, no model and no file.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)  # where the precision is read off
MOST = 100  # findings of a class that an image may have; the best are taken


@dataclasses.dataclass(frozen=True)
class Matches:
    """What was found of one class in one image, against what there is.

    Attributes:
      scores: [D], the best first.
      right: [T, D], matched with an object at this threshold.
      ignored: [T, D], matched with a region that counts neither as found nor missed.
      count: objects that are to be found.
    """

    scores: np.ndarray
    right: np.ndarray
    ignored: np.ndarray
    count: int


def match(
    similarity: np.ndarray,
    scores: np.ndarray,
    ignored: np.ndarray,
    crowd: np.ndarray,
    *,
    thresholds: np.ndarray = THRESHOLDS,
    most: int = MOST,
) -> Matches:
    """Gives each finding, the best first, the most similar object that is left.

    Args:
      similarity: [D, G] of findings and objects of one class and image, in [0, 1].
      scores: [D].
      ignored: [G] bool, objects that count neither as found nor missed; they get only
        what matches no other.
      crowd: [G] bool, those that may be matched many times.
      thresholds: [T], least similarities of a match.
      most: findings that are looked at.
    """
    order = np.argsort(-scores, kind='stable')[:most]
    # Of equally similar objects COCO takes the last: turned round, argmax does.
    similarity = similarity[order, ::-1]
    ignored, crowd = ignored[::-1], crowd[::-1]
    least = np.minimum(thresholds, 1 - 1e-10)[:, None]
    free = np.ones((len(thresholds), len(ignored)), bool)
    right = np.zeros((len(thresholds), len(order)), bool)
    aside = np.zeros_like(right)
    for finding in range(len(order) if len(ignored) else 0):
        able = (free | crowd) & (similarity[finding] >= least)
        proper = able & ~ignored
        found = proper.any(axis=1)
        able = np.where(found[:, None], proper, able)
        best = np.argmax(np.where(able, similarity[finding], -1), axis=1)
        matched = np.flatnonzero(able.any(axis=1))
        free[matched, best[matched]] = False
        right[:, finding] = found
        aside[matched, finding] = ~found[matched]
    return Matches(scores[order], right, aside, int(np.sum(~ignored)))


def average_precision(matches: Sequence[Matches]) -> np.ndarray | None:
    """Of one class over all images, in their order: [T]; None without any object.

    The area under precision against recall, where the precision at a recall is the
    highest at this or any higher one.
    """
    count = sum(image.count for image in matches)
    if not count:
        return None
    scores = np.concatenate([image.scores for image in matches])
    order = np.argsort(-scores, kind='stable')
    right = np.concatenate([image.right for image in matches], axis=1)[:, order]
    aside = np.concatenate([image.ignored for image in matches], axis=1)[:, order]
    hits = np.cumsum(right, axis=1)
    shots = hits + np.cumsum(~right & ~aside, axis=1)
    precision = hits / np.maximum(shots, 1)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.pad(precision, ((0, 0), (0, 1)))  # beyond the highest recall
    read = [np.searchsorted(row, RECALLS, side='left') for row in hits / count]
    return np.take_along_axis(precision, np.array(read), axis=1).mean(axis=1)


def box_iou(boxes: np.ndarray, objects: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Intersection over union, [D, 4] and [G, 4] of y0, x0, y1, x1 -> [D, G].

    Of a crowd it is the share of the box that lies in it: [G] bool.
    """
    boxes, objects = np.float64(boxes)[:, None], np.float64(objects)[None]
    low = np.maximum(boxes[..., :2], objects[..., :2])
    high = np.minimum(boxes[..., 2:], objects[..., 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (boxes, objects)]
    union = np.where(crowd, areas[0], areas[0] + areas[1] - both)
    return both / np.where(union > 0, union, 1)
