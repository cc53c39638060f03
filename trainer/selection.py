"""Which evaluation is best so far, and whether there has been no better one for long.

Plain Python on plain numbers; knows nothing of models, files or what is evaluated.
"""

import dataclasses
import math
from typing import Annotated, Literal

import gin
from annotated_types import Ge


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Best:
    """Which evaluation is the best, and when to stop early.

    Attributes:
      metric: a logged name such as 'val/acc_top1'; None leaves it to the task.
      mode: whether more or less of it is better; None leaves it to the task.
      patience: evaluations without improvement after which training stops.
    """

    metric: str | None = None
    mode: Literal['max', 'min'] | None = None
    patience: Annotated[int, Ge(1)] | None = None


class Tracker:
    """The best value of a metric so far, and how long ago it was seen."""

    def __init__(self, metric: str, mode: str, patience: int | None = None):
        """Nothing seen yet.

        Args:
          metric: its name, such as 'val/acc_top1'.
          mode: 'max' or 'min'.
          patience: evaluations without improvement until `should_stop`; None: never.

        Raises:
          ValueError: another mode.
        """
        if mode not in ('max', 'min'):
            raise ValueError(f"mode is {mode!r}; choose 'max' or 'min'.")
        self.metric, self.mode, self.patience = metric, mode, patience
        self.best_step: int | None = None
        self.best_value: float | None = None
        self.without_improvement = 0

    def update(self, step: int, value: float | None) -> bool:
        """Takes one evaluation; true if it is the best so far.

        None (no data) and NaN are never best, and count as no improvement. Of equal
        values the first stays the best.
        """
        improved = self._is_better(value)
        if improved:
            self.best_step, self.best_value = int(step), float(value)
            self.without_improvement = 0
        else:
            self.without_improvement += 1
        return improved

    @property
    def should_stop(self) -> bool:
        """True once `patience` evaluations in a row have brought no improvement."""
        return self.patience is not None and self.without_improvement >= self.patience

    def why_stopped(self) -> str:
        """What is said of a run that ends before its last step."""
        return (
            f'stopped early: {self.metric} has not improved in {self.patience} '
            f'evaluations; best was step {self.best_step}'
        )

    def state(self) -> dict:
        """What has been seen, as JSON."""
        return {
            'metric': self.metric,
            'mode': self.mode,
            'best_step': self.best_step,
            'best_value': self.best_value,
            'without_improvement': self.without_improvement,
        }

    @classmethod
    def from_state(cls, state: dict, patience: int | None = None) -> 'Tracker':
        """The tracker whose `state()` this is; its patience may have changed since."""
        tracker = cls(state['metric'], state['mode'], patience)
        tracker.best_step = state['best_step']
        tracker.best_value = state['best_value']
        tracker.without_improvement = state['without_improvement']
        return tracker

    def _is_better(self, value: float | None) -> bool:
        if value is None or not math.isfinite(value):
            return False
        if self.best_value is None:
            return True
        if self.mode == 'max':
            return value > self.best_value
        return value < self.best_value
