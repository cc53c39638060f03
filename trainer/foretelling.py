"""How a curve will end: a * exp(-b * t) + c, fitted to what it has shown so far.

Knows plain numbers; nothing of runs or searches.
"""

from collections.abc import Sequence

import numpy as np

RATES = np.geomspace(0.01, 10, 500)  # b: per length of the past, slow to fast
ENOUGH = 4  # values, of which three would be met by any curve


def smoothed(values: Sequence[float], past: float) -> list[float]:
    """Exponential means; each holds `past` of the one before."""
    means = [values[0]]
    for value in values[1:]:
        means.append(past * means[-1] + (1 - past) * value)
    return means


def foretell(values: Sequence[float], last: float, floor: float = -np.inf) -> float:
    """The value at evaluation `last`, from those at 1, 2, ...: a * exp(-b * t) + c.

    For each b, a and c are least squares; the b with the smallest rest is taken, of
    those whose c is not below the floor.
    """
    values = np.asarray(values, np.float64)
    rates = RATES[:, None] / len(values)
    curves = np.exp(-rates * np.arange(1, len(values) + 1))
    means = curves.mean(axis=1, keepdims=True)
    bent = curves - means
    a = (bent @ (values - values.mean())) / np.square(bent).sum(axis=1)
    c = values.mean() - a * means[:, 0]
    rests = np.square(a[:, None] * curves + c[:, None] - values).sum(axis=1)
    best = np.argmin(np.where(c < floor, np.inf, rests))
    return float(a[best] * np.exp(-rates[best, 0] * last) + c[best])
