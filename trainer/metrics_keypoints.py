"""Scores of found keypoints: PCK, and COCO's average precision by their similarity.

Exact for any batch, from what each image has. Knows outputs, keypoints and boxes by
name, and how outputs are read it is told; no task.
"""

import functools
from collections.abc import Callable, Sequence

import clu.metrics
import flax
import jax.numpy as jnp
import numpy as np

from trainer.coco_scores import average_precision, match
from trainer.collected import Collected
from trainer.errors import UserError
from trainer.metrics import MeanLoss

Scores = dict[str, float | None]
Rows = dict[str, np.ndarray]
LABELS = ('keypoints', 'boxes', 'box_labels', 'areas', 'crowd')
MOST = 20  # findings that COCO looks at in an image
# Of nose, eyes, ears, shoulders, elbows, wrists, hips, knees and ankles:
# https://cocodataset.org/#keypoints-eval, section 1.3.
FACE, ARMS, LEGS = (0.026, 0.025, 0.035), (0.079, 0.072, 0.062), (0.107, 0.087, 0.089)
COCO_SIGMAS = (FACE[0], *(s for s in (*FACE[1:], *ARMS, *LEGS) for _ in range(2)))


@functools.cache
def keypoint_metrics(
    peaks: Callable, thresholds: tuple[float, ...], sigmas: tuple[float, ...]
) -> type[clu.metrics.Collection]:
    """What is measured of K keypoints in evaluation.

    Args:
      peaks: `(outputs, boxes [B, N, 4] or None) -> [B, N, K, 3]`, hashable: x, y and
        height of what is found in each box, or in the image; boxes are given where N is
        above 1.
      thresholds: of PCK.
      sigmas: K, see `similarity`.
    """

    @flax.struct.dataclass
    class KeypointScores(Collected.from_outputs(('found', 'mask', *LABELS))):
        @classmethod
        def from_model_output(cls, *, outputs, **batch):
            crowd = jnp.zeros_like(batch['box_labels'], bool)
            several = batch['boxes'].shape[1] > 1
            found = peaks(outputs, batch['boxes'] if several else None)
            return super().from_model_output(**{'crowd': crowd, **batch}, found=found)

        def compute(self) -> Scores:
            rows, scores = self.rows(), {}
            for threshold in thresholds:
                scores |= pck(rows, threshold, len(sigmas))
            return scores | keypoint_precision(rows, sigmas)

    return clu.metrics.Collection.create(loss=MeanLoss, scores=KeypointScores)


def pck(rows: Rows, threshold: float, num_keypoints: int) -> Scores:
    """`pck@0.1` and, of each keypoint, `pck@0.1_keypoint_0`: the share that is right.

    Right is what is no further from its label than the threshold, in units of the
    larger side of the object's box. What is not labelled (visibility 0) is not counted,
    nor are crowds; without any it is None.

    Args:
      rows: what was collected of n images, [n, ...] each; {} of none.
      threshold: such as 0.1.
      num_keypoints: K.
    """
    right = count = np.zeros(num_keypoints, int)
    if rows:
        keypoints, boxes = np.float64(rows['keypoints']), np.float64(rows['boxes'])
        apart = np.linalg.norm((rows['found'] - keypoints)[..., :2], axis=-1)
        side = np.max(boxes[..., 2:] - boxes[..., :2], axis=-1)
        there = (rows['box_labels'] >= 0) & ~rows['crowd']
        labelled = there[..., None] & (keypoints[..., 2] > 0)
        near = apart <= threshold * side[..., None]
        right = np.sum(labelled & near, axis=(0, 1))
        count = np.sum(labelled, axis=(0, 1))
    name = f'pck@{threshold:g}'
    scores = {name: _share(right.sum(), count.sum())}
    for i, pair in enumerate(zip(right, count, strict=True)):
        scores[f'{name}_keypoint_{i}'] = _share(*pair)
    return scores


def keypoint_precision(rows: Rows, sigmas: Sequence[float]) -> Scores:
    """COCO's `ap`, `ap50` and `ap75` of one finding for each object, or each image.

    The score of a finding is the mean height of its peaks. Crowds, and objects without
    a labelled keypoint, are neither to be found nor wrong to find.

    Args:
      rows: what was collected of n images, [n, ...] each; {} of none.
      sigmas: K, see `similarity`.
    """
    matches = []
    for image in range(len(rows.get('found', ()))):
        one = {name: value[image] for name, value in rows.items()}
        there = one['box_labels'] >= 0
        found = one['found'] if len(there) == 1 else one['found'][there]
        keypoints, crowd = one['keypoints'][there], one['crowd'][there]
        ignored = crowd | ~(keypoints[..., 2] > 0).any(axis=-1)
        boxes, areas = one['boxes'][there], one['areas'][there]
        alike = similarity(found, keypoints, boxes, areas, sigmas)
        scores = found[..., 2].mean(axis=-1, dtype=np.float64)
        matches.append(match(alike, scores, ignored, crowd, most=MOST))
    return coco_means(average_precision(matches), 'ap')


def coco_means(precision: np.ndarray | None, name: str) -> Scores:
    """COCO's means of a precision at each threshold: `ap`, `ap50` and `ap75`.

    Args:
      precision: [T], at thresholds from 0.5 to 0.95; None where nothing is known.
      name: 'ap', or what a score is called in its place.
    """
    parts = {name: slice(None), f'{name}50': 0, f'{name}75': 5}
    if precision is None:
        return dict.fromkeys(parts)
    return {name: float(np.mean(precision[part])) for name, part in parts.items()}


def sigmas_of(
    owner: str, said: float | Sequence[float] | str, num_keypoints: int
) -> tuple[float, ...]:
    """COCO's "sigma" of each keypoint, for `similarity`.

    Args:
      owner: the task, for messages.
      said: one for each, one number for all, or 'coco' for the 17 of COCO's people.
      num_keypoints: K.

    Raises:
      UserError: there are more of them, or fewer, than keypoints, or another word.
    """
    if not isinstance(said, str | Sequence):
        return (float(said),) * num_keypoints
    if isinstance(said, str) and said != 'coco':
        raise UserError(f"{owner}.oks_sigmas is {said!r}; give numbers, or 'coco'.")
    sigmas = COCO_SIGMAS if said == 'coco' else tuple(said)
    if len(sigmas) != num_keypoints:
        raise UserError(
            f'{owner}.oks_sigmas has {len(sigmas)} numbers, but the data has '
            f'{num_keypoints} keypoints; give one for each, or one number.'
        )
    return sigmas


def similarity(
    found: np.ndarray,
    keypoints: np.ndarray,
    boxes: np.ndarray,
    areas: np.ndarray,
    sigmas: Sequence[float],
) -> np.ndarray:
    """COCO's object keypoint similarity: [D, K, 3] and [G, K, 3] -> [D, G] in [0, 1].

    The mean, over the labelled keypoints, of `exp(-d^2 / (8 sigma^2 area))`; of an
    object without any, d is how far a keypoint is outside of its box, enlarged by
    itself on all sides (https://cocodataset.org/#keypoints-eval).

    Args:
      found: x, y and what is not looked at.
      keypoints: x, y, visibility.
      boxes: [G, 4] of y0, x0, y1, x1.
      areas: [G], pixels.
      sigmas: K, how exactly each keypoint can be labelled, in object sizes.
    """
    found, keypoints = np.float64(found[:, None, :, :2]), np.float64(keypoints)
    boxes = np.float64(boxes)[:, None]
    labelled = keypoints[..., 2] > 0
    any_labelled = labelled.any(axis=-1)
    sides = boxes[..., 2:] - boxes[..., :2]
    low = (boxes[..., :2] - sides)[..., ::-1]
    high = (boxes[..., 2:] + sides)[..., ::-1]
    outside = np.maximum(0, low - found) + np.maximum(0, found - high)
    apart = np.where(any_labelled[:, None, None], found - keypoints[..., :2], outside)
    scale = (np.float64(areas)[:, None] + np.spacing(1)) * (2 * np.float64(sigmas)) ** 2
    near = np.exp(-np.square(apart).sum(axis=-1) / (2 * scale))
    counted = labelled | ~any_labelled[:, None]
    return np.sum(near * counted, axis=-1) / np.sum(counted, axis=-1)


def _share(right: int, count: int) -> float | None:
    return float(right / count) if count else None
