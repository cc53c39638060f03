"""A pruner that foretells how a trial will end: a * exp(-b * t) + c, fitted.

Knows plain numbers and Optuna's trials; nothing of runs.
"""

import numpy as np
import optuna

from trainer.foretelling import foretell, smoothed


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
