"""Hooks: functions of (step, state, metrics), called at every line that is logged.

A hook may warn, and may return more numbers for the line; it cannot change the run.
Bound in a config as `Experiment.hooks = [@GradientNorm(), @Overfitting()]`. With hooks
each logged line waits for the device.
"""

import dataclasses
import itertools
import statistics
from collections import deque
from typing import Annotated

import gin
from annotated_types import Ge, Gt

from trainer.console import warn

RECENT = 20  # logged norms that a new one is compared with


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientNorm:
    """Warns of a gradient that is much longer than those before it.

    Attributes:
      above: how many times the median of the last logged norms is too much.
    """

    above: Annotated[float, Gt(1)] = 10.0
    recent: deque = dataclasses.field(
        default_factory=lambda: deque(maxlen=RECENT), init=False, compare=False
    )

    def __call__(self, step: int, state, metrics: dict) -> dict | None:
        """Looks at 'train/grad_norm'; logs its ratio to the recent median."""
        norm = metrics.get('train/grad_norm')
        if norm is None:
            return None
        usual = statistics.median(self.recent) if self.recent else norm
        self.recent.append(norm)
        ratio = norm / usual if usual else 1.0
        if ratio > self.above:
            warn(
                f'step {step}: the gradient norm is {norm:.3g}, {ratio:.0f} times the '
                f'recent median; set adamw.clip_norm or lower the learning rate'
            )
        return {'train/grad_norm_ratio': ratio}


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Overfitting:
    """Warns when the evaluation loss rises while the training loss falls.

    Attributes:
      evaluations: how many of them in a row it takes.
    """

    evaluations: Annotated[int, Ge(1)] = 3
    recent: list = dataclasses.field(default_factory=list, init=False, compare=False)

    def __call__(self, step: int, state, metrics: dict) -> None:
        """Looks at 'train/loss_epoch' and 'val/loss' of each evaluation."""
        pair = metrics.get('train/loss_epoch'), metrics.get('val/loss')
        if None in pair:
            return
        self.recent.append(pair)
        last = self.recent[-self.evaluations - 1 :]
        apart = [
            after[0] < before[0] and after[1] > before[1]
            for before, after in itertools.pairwise(last)
        ]
        if len(apart) == self.evaluations and all(apart):
            warn(
                f'step {step}: overfitting: in {self.evaluations} evaluations the '
                f'training loss fell and the evaluation loss rose to {pair[1]:.4f}; '
                f'add augmentation or weight decay, or set Best.patience to stop early'
            )
            self.recent.clear()
