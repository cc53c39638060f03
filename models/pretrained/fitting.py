"""Arrays fitted to other channels of the image and to other grids of patches."""

import math
from collections.abc import Mapping

import numpy as np

from models.pretrained.mapping import Adapt
from models.tokens import resample_positions

FIRST = ('backbone/stem/conv/kernel', 'backbone/stem/patches/conv/kernel')
TOKEN, POSITIONS = 'backbone/stem/class_token', 'backbone/stem/positions'


def adaptations(wanted: Mapping, grid: tuple[int, int] | None) -> dict[str, Adapt]:
    """How arrays at our paths may be fitted, for `import_weights`.

    Args:
      wanted: our parameters by path.
      grid: rows and columns of patches that positions are wanted for; None for a net
        without positions.
    """
    prefix = int(TOKEN in wanted)

    def positions(array, shape):
        learned = math.isqrt(len(array) - prefix)
        if learned**2 + prefix != len(array) or array.shape[1:] != shape[1:]:
            return array
        return np.asarray(resample_positions(array, (learned, learned), grid))

    fit = dict.fromkeys(FIRST, first_kernel)
    return {**fit, POSITIONS: positions} if grid else fit


def first_kernel(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel `[h, w, C, D]` for another number of channels, with answers as large.

    One channel gets the sum, as if a grey image were given as three equal channels;
    more are repeated in turn and scaled, as timm does it.
    """
    height, width, channels, features = kernel.shape
    wanted = shape[2]
    if (height, width, features) != (*shape[:2], shape[3]):
        return kernel
    if wanted == 1:
        return kernel.sum(axis=2, keepdims=True)
    return kernel[:, :, np.arange(wanted) % channels] * np.float32(channels / wanted)
