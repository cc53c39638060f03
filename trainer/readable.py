"""What a task decodes of one image, in the words of the data it learnt from.

Knows the names that decoded arrays have (`probabilities`, `labels`, `boxes`), no task.
"""

from collections.abc import Mapping, Sequence

import numpy as np


def readable(
    decoded: Mapping[str, np.ndarray], class_names: Sequence[str], top: int
) -> dict[str, object]:
    """Plain values by name, as JSON has them.

    Args:
      decoded: of one image: `probabilities` [C] of classes that exclude one another;
        `labels` [C] (bool) with `scores` [C] of those that do not; `boxes` [K, 4] with
        `box_labels` [K] and `scores` [K]; or anything else.
      class_names: C of them.
      top: how many classes are ranked.

    Returns:
      {'label', 'probability', 'top': [{'label', 'probability'}, ...]}, the likeliest
      first; {'labels': [name, ...], 'scores': {name: score}}; {'objects': [{'label',
      'score', 'box'}, ...]}; or the arrays as they are, as lists.
    """
    if np.shape(decoded.get('probabilities')) == (len(class_names),):
        return _ranked(decoded['probabilities'], class_names, top)
    if {'labels', 'scores'} <= set(decoded):
        return _several(decoded['labels'], decoded['scores'], class_names)
    if {'boxes', 'box_labels', 'scores'} <= set(decoded):
        return {'objects': _objects(decoded, class_names)}
    return {name: short(value) for name, value in decoded.items()}


def short(value: np.ndarray) -> object:
    """Lists and numbers; a float has the fewest digits that read back to it."""
    if np.ndim(value):
        return [short(part) for part in value]
    if np.issubdtype(np.asarray(value).dtype, np.floating):
        return float(str(value))
    return value.item()


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


def _objects(decoded, class_names):
    rows = zip(decoded['box_labels'], decoded['scores'], decoded['boxes'], strict=True)
    return [
        {'label': class_names[label], 'score': short(score), 'box': short(box)}
        for label, score, box in rows
        if label >= 0
    ]
