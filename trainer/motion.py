"""What moving a picture does to the labels that lie in it; knows no pixel, no chance.

Boxes, areas and keypoints are as docs/design.md has them. Works on the numpy arrays of
one example and on the JAX arrays of a batch, inside jit as well.
"""

import numpy as np

PLACED = ('segmentation', 'boxes', 'keypoints')  # labels that lie in the picture


def move_labels(fields: dict, matrix, size, min_visible: float, xp=np) -> dict:
    """The label fields that an affine motion of the picture changes, and no others.

    A box becomes the upright box around where its corners go, cut off at the picture's
    edge; `areas` shrink by the share that is cut off. An object of which too little is
    left becomes padding. A keypoint outside gets visibility 0.

    Args:
      fields: an example or a batch; of `boxes` [..., N, 4] and what goes with them, and
        `keypoints` [..., N, K, 3], what is there is moved.
      matrix: [..., 2, 3], from (x, y, 1) in the old picture to (x, y) in the new one.
      size: (H, W) of the new picture.
      min_visible: the least share of its box that an object must keep.
      xp: numpy or jax.numpy.
    """
    if 'boxes' not in fields:
        return {}
    moved, stays = _move_objects(fields, matrix, size, min_visible, xp)
    if 'keypoints' in fields:
        moved['keypoints'] = _move_keypoints(fields, matrix, size, stays, xp)
    return moved


def _move_objects(fields, matrix, size, min_visible, xp):
    """The fields with one row an object, and which rows are objects still."""
    whole = _move_boxes(fields['boxes'], matrix, xp)
    seen = xp.clip(whole, 0, xp.asarray((*size, *size), whole.dtype))
    share = _area(seen) / xp.maximum(_area(whole), xp.finfo(whole.dtype).tiny)
    labels = fields['box_labels']
    stays = (labels >= 0) & (share > 0) & (share >= min_visible)
    moved = {
        'boxes': xp.where(stays[..., None], seen, 0),
        'box_labels': xp.where(stays, labels, -1),
    }
    if 'areas' in fields:
        areas = fields['areas'] * share * _scale(matrix, xp)[..., None]
        moved['areas'] = xp.where(stays, areas, 0)
    if 'crowd' in fields:
        moved['crowd'] = stays & fields['crowd']
    return moved, stays


def _move_keypoints(fields, matrix, size, stays, xp):
    keypoints = fields['keypoints']
    matrix, visibility = matrix[..., None, None, :, :], keypoints[..., 2:]
    # Sums, not matrix products, which accelerators round to fewer digits.
    places = (matrix[..., :2] * keypoints[..., None, :2]).sum(-1) + matrix[..., 2]
    ends = xp.asarray(size[::-1], places.dtype)
    inside = ((places >= 0) & (places <= ends)).all(-1)
    seen = inside & stays[..., None] & (visibility[..., 0] > 0)
    moved = xp.concatenate([places, visibility], axis=-1)
    return xp.where(seen[..., None], moved, 0)


def _move_boxes(boxes, matrix, xp):
    """The upright boxes around the moved ones, [..., N, 4]."""
    matrix = matrix[..., None, :, :]
    low, high = boxes[..., None, 1::-1], boxes[..., None, :1:-1]  # (x, y)
    with_axis, against = xp.maximum(matrix[..., :2], 0), xp.minimum(matrix[..., :2], 0)
    start = (with_axis * low + against * high).sum(-1) + matrix[..., 2]
    end = (with_axis * high + against * low).sum(-1) + matrix[..., 2]
    return xp.concatenate([start[..., ::-1], end[..., ::-1]], axis=-1)


def _area(boxes):
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _scale(matrix, xp):
    """How many times larger a motion makes areas, [...]."""
    turned = matrix[..., 0, 1] * matrix[..., 1, 0]
    return xp.abs(matrix[..., 0, 0] * matrix[..., 1, 1] - turned)
