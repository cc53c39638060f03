"""The label fields of an image's objects, padded to one number; knows no format."""

from collections.abc import Sequence

import numpy as np


def pack_objects(
    number: int,
    boxes: Sequence,
    labels: Sequence[int],
    areas: Sequence[float],
    crowd: Sequence[bool] | None = None,
    keypoints: Sequence | None = None,
    num_keypoints: int = 0,
) -> dict[str, np.ndarray]:
    """Objects as an example holds them (docs/design.md), padding behind them.

    Args:
      number: N, rows of each field; further objects are left out.
      boxes: (y0, x0, y1, x1) of each object, pixels.
      labels: class of each.
      areas: pixels that each covers.
      crowd: whether it stands for many; None for nowhere.
      keypoints: [K, 3] of each; None for no such field.
      num_keypoints: K.
    """
    rows = {
        'boxes': (boxes, (4,), np.float32, 0),
        'box_labels': (labels, (), np.int32, -1),
        'areas': (areas, (), np.float32, 0),
        'crowd': (crowd or [False] * len(boxes), (), bool, False),
    }
    if keypoints is not None:
        rows['keypoints'] = (keypoints, (num_keypoints, 3), np.float32, 0)
    packed = {}
    for field, (values, shape, dtype, padding) in rows.items():
        packed[field] = np.full((number, *shape), padding, dtype)
        if len(values):
            count = min(number, len(values))
            packed[field][:count] = np.asarray(values, dtype)[:count]
    return packed
