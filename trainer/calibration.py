"""Whether a net is as often right as it is sure: bins of confidence, and their gap.

Plain NumPy on plain numbers; knows no task.
"""

import numpy as np

BINS = 15


def binned(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Counts, summed confidences and hits of equally wide bins, float64 [3, bins].

    Bin b holds the confidences in (b / bins, (b + 1) / bins], as in Guo et al. 2017; 0
    is in the first, and what is not finite in none.

    Args:
      confidence: in [0, 1], [N].
      right: whether each was right, [N].
    """
    confidence = np.asarray(confidence, np.float64)
    finite = np.isfinite(confidence)
    confidence, right = confidence[finite], np.asarray(right, np.float64)[finite]
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    weights = (np.ones_like(confidence), confidence, right)
    return np.stack([np.bincount(place, w, minlength=bins) for w in weights])


def expected_error(table: np.ndarray) -> float | None:
    """The expected calibration error of what `binned` gives; None of no example."""
    counts, confidence, right = table
    if not counts.sum():
        return None
    return float(np.abs(confidence - right).sum() / counts.sum())
