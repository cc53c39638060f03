"""A pruner that foretells how a trial will end: a * exp(-b * t) + c, fitted.

Knows plain numbers and Optuna's trials; nothing of runs.
"""

from collections.abc import Sequence

import numpy as np
import optuna

RATES = np.geomspace(0.01, 10, 500)  # b: per length of the past, slow to fast


class PredictedPruner(optuna.pruners.BasePruner):
    """Gives a trial up when its foretold last value is worse than the best one.

    Args:
      planned: evaluations of a whole trial.
      startup: trials that must be complete before any is given up.
      warmup: evaluations before a trial is judged.
      smoothing: of the history, the share of the past in each value.
      margin: how much worse than the best, as a share of it, is still good enough.
    """

    def __init__(
        self,
        planned: int,
        startup: int = 3,
        warmup: int = 4,
        smoothing: float = 0.3,
        margin: float = 0.0,
    ):
        self.planned, self.startup, self.warmup = planned, startup, max(3, warmup)
        self.smoothing, self.margin = smoothing, margin

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether a trial is foretold to end worse than the best has ended."""
        done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        past = [trial.intermediate_values[k] for k in sorted(trial.intermediate_values)]
        if len(done) < self.startup or len(past) < self.warmup:
            return False
        sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
        best = min(sign * one.value for one in done)
        if not np.all(np.isfinite(past)):
            return True
        history = smoothed([sign * value for value in past], self.smoothing)
        foretold = foretell(history, self.planned)
        foretold = min(foretold, *(sign * value for value in past))
        return bool(foretold > best + self.margin * abs(best))


def smoothed(values: Sequence[float], past: float) -> list[float]:
    """Exponential means; each holds `past` of the one before."""
    means = [values[0]]
    for value in values[1:]:
        means.append(past * means[-1] + (1 - past) * value)
    return means


def foretell(values: Sequence[float], last: int) -> float:
    """The value at evaluation `last`, from those at 1, 2, ...: a * exp(-b * t) + c.

    For each b, a and c are least squares; the b with the smallest rest is taken.
    """
    values = np.asarray(values, np.float64)
    times = np.arange(1, len(values) + 1)
    best = (np.inf, float(values[-1]))
    for rate in RATES / len(values):
        curve = np.exp(-rate * times)
        matrix = np.stack([curve, np.ones_like(curve)], axis=1)
        solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
        rest = float(np.square(matrix @ solution - values).sum())
        end = float(solution[0] * np.exp(-rate * last) + solution[1])
        best = min(best, (rest, end))
    return best[1]
