"""COCO's scores of found boxes and of the keypoints in them, exact for any batch.

Knows outputs, boxes, keypoints and masks by name, and how outputs are read it is told;
no task.
"""

import functools
from collections.abc import Callable, Sequence

import clu.metrics
import flax
import numpy as np

from trainer.coco_scores import average_precision, match
from trainer.collected import Collected
from trainer.metrics import MeanLoss
from trainer.metrics_detection import ROWS, Scores, detection_scores, found_rows
from trainer.metrics_keypoints import MOST, coco_means, similarity

Rows = dict[str, np.ndarray]


@functools.cache
def instance_metrics(
    decode: Callable, num_classes: int, sigmas: tuple[float, ...]
) -> type[clu.metrics.Collection]:
    """What is measured of boxes with keypoints in evaluation.

    Args:
      decode: outputs -> what `detection_metrics` needs, and `keypoints` [B, K, points,
        3]; hashable.
      num_classes: C.
      sigmas: of the keypoints, see `similarity`.
    """
    rows = (*ROWS, 'found_keypoints', 'keypoints', 'areas')

    @flax.struct.dataclass
    class InstanceScores(Collected.from_outputs(rows)):
        @classmethod
        def from_model_output(cls, *, outputs, **batch):
            found = decode(outputs)
            keypoints = {'found_keypoints': found['keypoints']}
            return super().from_model_output(**found_rows(found, batch), **keypoints)

        def compute(self) -> Scores:
            rows = self.rows()
            boxes = detection_scores(rows, num_classes)
            return boxes | keypoint_scores(rows, num_classes, sigmas)

    return clu.metrics.Collection.create(loss=MeanLoss, scores=InstanceScores)


def keypoint_scores(rows: Rows, num_classes: int, sigmas: Sequence[float]) -> Scores:
    """`keypoint_ap`, `keypoint_ap50` and `keypoint_ap75`: means over the classes.

    Over those of which a keypoint is labelled; None without any.

    Args:
      rows: what was collected of n images, [n, ...] each; {} of none.
      num_classes: C.
      sigmas: see `similarity`.
    """
    classes = (class_precision(rows, label, sigmas) for label in range(num_classes))
    known = [precision for precision in classes if precision is not None]
    return coco_means(np.mean(known, axis=0) if known else None, 'keypoint_ap')


def class_precision(
    rows: Rows, label: int, sigmas: Sequence[float]
) -> np.ndarray | None:
    """Of a class, at each threshold of similarity; None without a labelled keypoint.

    A finding counts as its box is scored. Crowds, and objects without a labelled
    keypoint, are neither to be found nor wrong to find.
    """
    matches = []
    for image in range(len(rows.get('boxes', ()))):
        one = {name: value[image] for name, value in rows.items()}
        found, there = one['found_labels'] == label, one['box_labels'] == label
        if not found.any() and not there.any():
            continue
        keypoints, crowd = one['keypoints'][there], one['crowd'][there]
        ignored = crowd | ~(keypoints[..., 2] > 0).any(axis=-1)
        boxes, areas = one['boxes'][there], one['areas'][there]
        alike = similarity(
            one['found_keypoints'][found], keypoints, boxes, areas, sigmas
        )
        scores = one['found_scores'][found]
        matches.append(match(alike, scores, ignored, crowd, most=MOST))
    return average_precision(matches)
