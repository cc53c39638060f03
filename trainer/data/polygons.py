"""Fills polygons exactly: a pixel is inside where its centre is; knows no image."""

import numpy as np


def fill(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """A polygon as a mask, [H, W] bool, by the even-odd rule.

    Each edge toggles, in the rows that it crosses, all pixels to the right of it.

    Args:
      polygon: [V, 2] float, (y, x) of each corner; pixel (i, j) covers
        [i, i + 1) x [j, j + 1). What lies outside the image is cut off.
      height, width: of the mask.
    """
    mask = np.zeros((height, width), bool)
    first = np.clip(np.floor(polygon.min(0)), 0, (height, width)).astype(int)
    last = np.clip(np.ceil(polygon.max(0)), first, (height, width)).astype(int)
    inside = _fill(polygon - first, *(last - first))
    mask[first[0] : last[0], first[1] : last[1]] = inside
    return mask


def _fill(polygon, height, width):
    (y0, x0), (y1, x1) = polygon.T, np.roll(polygon, -1, axis=0).T
    below = np.arange(height)[:, None] + 0.5
    rows, edges = np.nonzero((y0 <= below) != (y1 <= below))
    part = (rows + 0.5 - y0[edges]) / (y1 - y0)[edges]
    crossings = x0[edges] + part * (x1 - x0)[edges]
    columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)
    toggles = np.zeros((height, width + 1), np.int32)
    np.add.at(toggles, (rows, columns), 1)
    return np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1


def bounding_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """(y0, x0, y1, x1) that holds the mask's pixels exactly; the mask is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
