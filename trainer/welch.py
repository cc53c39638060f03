"""Whether two samples have different means, where their spreads may differ too.

B. L. Welch, 'The generalization of Student's problem when several different population
variances are involved', 1947. Plain numbers.
"""

import math
import statistics
from collections.abc import Sequence


def welch(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The two-sided p of Welch's t-test.

    None where a sample has fewer than two values, or none of both varies at all.
    """
    if min(len(one), len(other)) < 2:
        return None
    errors = [statistics.variance(sample) / len(sample) for sample in (one, other)]
    if not sum(errors):
        return None
    from scipy.special import stdtr

    t = (statistics.fmean(one) - statistics.fmean(other)) / math.sqrt(sum(errors))
    freedom = sum(errors) ** 2 / sum(
        error**2 / (len(sample) - 1)
        for error, sample in zip(errors, (one, other), strict=True)
    )
    return float(2 * stdtr(freedom, -abs(t)))
