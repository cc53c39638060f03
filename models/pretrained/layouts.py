"""How a PyTorch tensor lies beside ours, and which tensors a layer has; both ways.

Kernels there are [out, in, height, width], here [height, width, in, out].
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Change = Callable[[np.ndarray], np.ndarray]


class Layout(NamedTuple):
    """A change of axes and the way back; a ValueError for an array without them."""

    to_ours: Change
    to_foreign: Change


def _axes(*order: int) -> Layout:
    back = tuple(np.argsort(order))
    return Layout(
        lambda array: array.transpose(order), lambda array: array.transpose(back)
    )


def _without(*axes: int) -> Layout:
    """Axes of length one that are there and not here."""
    return Layout(
        lambda array: np.squeeze(array, axes), lambda array: np.expand_dims(array, axes)
    )


SAME = Layout(np.asarray, np.asarray)
POSITIONS = _without(0)
TOKEN = _without(0, 1)
CHANNELS = _without(1, 2)
_MATRIX = _axes(1, 0)
_KERNEL = _axes(2, 3, 1, 0)

# A layer's tensors: theirs -> (ours, layout), or None for what has no counterpart.
NORM = {'weight': ('scale', SAME), 'bias': ('bias', SAME)}
BATCH_NORM = {
    **NORM,
    'running_mean': ('mean', SAME),
    'running_var': ('var', SAME),
    'num_batches_tracked': None,  # PyTorch sets it to zero where it is missing
}
DENSE = {'weight': ('kernel', _MATRIX), 'bias': ('bias', SAME)}
FUSED_DENSE = {'in_proj_weight': DENSE['weight'], 'in_proj_bias': DENSE['bias']}
CONV = {'weight': ('kernel', _KERNEL)}
BIASED_CONV = {**CONV, 'bias': ('bias', SAME)}


def alone(layout: Layout) -> dict:
    """The tensors of a 'layer' that is one tensor itself, such as a class token."""
    return {'': ('', layout)}
