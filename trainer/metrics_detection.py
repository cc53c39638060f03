"""COCO's scores of found boxes: exact for any batch, from what each image has.

Knows outputs, boxes and masks by name, and how outputs are read it is told; no task.
"""

import functools
from collections.abc import Callable

import clu.metrics
import flax
import jax
import numpy as np

from trainer.coco_scores import MOST, average_precision, box_iou, match
from trainer.collected import Collected
from trainer.metrics import MeanLoss

Scores = dict[str, float | None]
Rows = dict[str, np.ndarray]
Alike = tuple[np.ndarray, np.ndarray]
ROWS = (
    'found_boxes',
    'found_scores',
    'found_labels',
    'boxes',
    'box_labels',
    'crowd',
    'mask',
)


@functools.cache
def detection_metrics(
    decode: Callable, num_classes: int, train: bool
) -> type[clu.metrics.Collection]:
    """What is measured of boxes; in training only the loss.

    Args:
      decode: outputs -> `boxes` [B, K, 4], `scores` [B, K] and `box_labels` [B, K], -1
        for none; hashable.
      num_classes: C.
      train: whether it is measured in training steps.
    """
    if train:
        return clu.metrics.Collection.create(loss=MeanLoss)

    @flax.struct.dataclass
    class BoxScores(Collected.from_outputs(ROWS)):
        @classmethod
        def from_model_output(cls, *, outputs, **batch):
            return super().from_model_output(**found_rows(decode(outputs), batch))

        def compute(self) -> Scores:
            return detection_scores(self.rows(), num_classes)

    return clu.metrics.Collection.create(loss=MeanLoss, scores=BoxScores)


def found_rows(found: dict, batch: dict) -> dict[str, jax.Array]:
    """A batch, with what was found in it under the names of ROWS."""
    return {
        **batch,
        'crowd': crowd_of(batch),
        'found_boxes': found['boxes'],
        'found_scores': found['scores'],
        'found_labels': found['box_labels'],
    }


def crowd_of(batch: dict[str, jax.Array]) -> jax.Array:
    """Which boxes stand for many objects, [B, N] bool; none where nothing says so."""
    return batch.get('crowd', batch['box_labels'] < -1)


def detection_scores(rows: Rows, num_classes: int) -> Scores:
    """`map` and `map50`, means over the classes that occur, and those of each class.

    The average precision of class 0 is `ap_class_0`, the mean over overlaps of 0.5 to
    0.95, and `ap50_class_0`; None where no object is.

    Args:
      rows: what was collected of n images, [n, ...] each; {} of none.
      num_classes: C.
    """
    classes = [class_precision(rows, label) for label in range(num_classes)]
    known = [precision for precision in classes if precision is not None]
    scores = {'map': None, 'map50': None}
    if known:
        mean = np.mean(known, axis=0)
        scores = {'map': float(mean.mean()), 'map50': float(mean[0])}
    for i, precision in enumerate(classes):
        there = precision is not None
        scores[f'ap_class_{i}'] = float(precision.mean()) if there else None
    for i, precision in enumerate(classes):
        there = precision is not None
        scores[f'ap50_class_{i}'] = float(precision[0]) if there else None
    return scores


def overlaps(one: Rows, found: np.ndarray, there: np.ndarray) -> Alike:
    """How alike found boxes and objects are; crowds are left aside."""
    crowd = one['crowd'][there]
    return box_iou(one['found_boxes'][found], one['boxes'][there], crowd), crowd


def class_precision(
    rows: Rows,
    label: int,
    alike: Callable[..., Alike] = overlaps,
    most: int = MOST,
) -> np.ndarray | None:
    """Average precision of a class at each of THRESHOLDS; None without any object.

    Args:
      rows: what was collected of n images, [n, ...] each; {} of none.
      label: the class.
      alike: `(rows of one image, which findings, which objects)` -> the similarity of
        each two [D, G], and which objects count neither as found nor missed [G].
      most: findings of an image that are looked at.
    """
    matches = []
    for image in range(len(rows.get('boxes', ()))):
        one = {name: value[image] for name, value in rows.items()}
        found, there = one['found_labels'] == label, one['box_labels'] == label
        if not found.any() and not there.any():
            continue
        similarity, ignored = alike(one, found, there)
        scores, crowd = one['found_scores'][found], one['crowd'][there]
        matches.append(match(similarity, scores, ignored, crowd, most=most))
    return average_precision(matches)
