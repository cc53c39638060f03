"""What a task decodes of one image, in the words of the data it learnt from.

Knows the names that decoded arrays have (`probabilities`, `labels`, `boxes`), no task.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data.source import IGNORE


def readable(decoded: Mapping[str, np.ndarray], data, top: int) -> dict[str, object]:
    """Plain values by name, as JSON has them.

    Args:
      decoded: of one image: `probabilities` [C] of classes that exclude one another;
        `labels` [C] (bool) with `scores` [C] of those that do not; `boxes` [N, 4] with
        `box_labels` [N] and `scores` [N], and perhaps `keypoints` [N, K, 3];
        `keypoints` [K, 3] of x, y and certainty; `segmentation` [H, W]; or anything
        else.
      data: has `class_names`, `keypoint_names` and `segmentation_names`.
      top: how many classes are ranked.

    Returns:
      {'label', 'probability', 'top': [{'label', 'probability'}, ...]}, the likeliest
      first; {'labels': [name, ...], 'scores': {name: score}}; {'objects': [{'label',
      'score', 'bbox': [x, y, width, height]}, ...]}, each with its 'keypoints' where
      there are such; {'keypoints': [{'name', 'x', 'y', 'score'}, ...], 'score'};
      {'shares': {name: share of the pixels that were seen}}; or the arrays as they are,
      as lists.
    """
    names = data.class_names
    if np.shape(decoded.get('probabilities')) == (len(names),):
        return _ranked(decoded['probabilities'], names, top)
    if {'labels', 'scores'} <= set(decoded):
        return _several(decoded['labels'], decoded['scores'], names)
    if {'boxes', 'box_labels', 'scores'} <= set(decoded):
        return {'objects': _objects(decoded, names, data.keypoint_names)}
    rest = {name: short(value) for name, value in decoded.items() if name not in MAPS}
    if 'keypoints' in decoded:
        rest['keypoints'] = _points(decoded['keypoints'], data.keypoint_names)
    if 'segmentation' in decoded:
        rest['shares'] = _shares(decoded['segmentation'], data.segmentation_names)
    return rest


def short(value: np.ndarray) -> object:
    """Lists and numbers; a float has the fewest digits that read back to it."""
    if np.ndim(value):
        return [short(part) for part in value]
    if np.issubdtype(np.asarray(value).dtype, np.floating):
        return float(str(value))
    return value.item()


def bbox(box: np.ndarray) -> list[float]:
    """(y0, x0, y1, x1) as x, y, width, height, as COCO has it."""
    y0, x0, y1, x1 = np.asarray(box, np.float32)
    return short(np.stack([x0, y0, x1 - x0, y1 - y0]))


MAPS = ('keypoints', 'segmentation')  # are said in other words


def _ranked(probabilities, class_names, top):
    ranked = [
        {'label': class_names[index], 'probability': short(probabilities[index])}
        for index in np.argsort(-probabilities, kind='stable')[:top]
    ]
    return {**ranked[0], 'top': ranked}


def _several(labels, scores, class_names):
    return {
        'labels': [name for name, on in zip(class_names, labels, strict=True) if on],
        'scores': dict(zip(class_names, short(scores), strict=True)),
    }


def _objects(decoded, class_names, keypoint_names):
    rows = zip(decoded['box_labels'], decoded['scores'], decoded['boxes'], strict=True)
    objects = []
    for number, (label, score, box) in enumerate(rows):
        if label < 0:
            continue
        said = {'label': class_names[label], 'score': short(score), 'bbox': bbox(box)}
        if 'keypoints' in decoded:
            points = decoded['keypoints'][number]
            said['keypoints'] = _points(points, keypoint_names)
        objects.append(said)
    return objects


def _points(keypoints, names: Sequence[str]):
    return [
        dict(zip(('name', 'x', 'y', 'score'), (name, *short(point)), strict=True))
        for name, point in zip(names, keypoints, strict=True)
    ]


def _shares(found, names: Sequence[str]):
    seen = found[found != IGNORE]
    counts = np.bincount(seen, minlength=len(names)) / max(1, seen.size)
    return dict(zip(names, short(counts), strict=True))
