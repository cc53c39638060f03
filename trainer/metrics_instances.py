"""COCO's scores of found boxes and of the keypoints in them, exact for any batch.

Knows outputs, boxes, keypoints and masks by name, and how outputs are read it is told;
no task.
"""

import functools
from collections.abc import Callable, Sequence

import clu.metrics
import flax
import numpy as np

from trainer.collected import Collected
from trainer.metrics import MeanLoss
from trainer.metrics_detection import (
    ROWS,
    Alike,
    Rows,
    Scores,
    class_precision,
    detection_scores,
    found_rows,
)
from trainer.metrics_keypoints import MOST, coco_means, similarity


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
    alike = functools.partial(_poses, sigmas=sigmas)
    classes = (class_precision(rows, c, alike, MOST) for c in range(num_classes))
    known = [precision for precision in classes if precision is not None]
    return coco_means(np.mean(known, axis=0) if known else None, 'keypoint_ap')


def _poses(one: Rows, found: np.ndarray, there: np.ndarray, sigmas) -> Alike:
    """How alike found keypoints and those of objects are; a finding counts as its box.

    Crowds are left aside, and objects without a labelled keypoint.
    """
    keypoints, boxes, areas, crowd = (
        one[name][there] for name in ('keypoints', 'boxes', 'areas', 'crowd')
    )
    found = one['found_keypoints'][found]
    unlabelled = ~(keypoints[..., 2] > 0).any(axis=-1)
    return similarity(found, keypoints, boxes, areas, sigmas), crowd | unlabelled
