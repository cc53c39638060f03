"""COCO's run-length masks: runs of 0 and 1 down the columns; knows no annotation."""

import numpy as np


def decode_runs(counts: list[int] | str, height: int, width: int) -> np.ndarray:
    """A mask, [H, W] bool.

    Args:
      counts: lengths of the runs, the first of zeros; or the same as COCO packs them
        into text, five bits to a character, each number less the last but one.
      height, width: of the mask.

    Raises:
      ValueError: the runs do not fill the mask.
    """
    runs = np.asarray(_unpack(counts) if isinstance(counts, str) else counts)
    if runs.sum() != height * width or (runs < 0).any():
        raise ValueError(f'runs of {runs.sum()} pixels, but {height * width} there are')
    bits = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return bits.reshape(width, height).T


def _unpack(text):
    runs, value, shift = [], 0, 0
    for byte in text.encode():
        code = byte - ord('0')
        value |= (code & 31) << shift
        shift += 5
        if code & 32:  # more of this number follows
            continue
        if code & 16:  # a negative one
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
