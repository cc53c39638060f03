"""Plateau: a learning rate that falls when evaluations no longer improve.

The schedule is a function of the step; what evaluations have made of it is one factor,
kept in the train state, so that a resumed run goes on with it.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Literal

import gin
import jax
import optax
from annotated_types import Ge, Interval

from trainer.schedules import NotNegative, Positive, Steps, constant
from trainer.selection import Tracker


@dataclasses.dataclass(frozen=True)
class Plateau:
    """A schedule, and how evaluations scale it.

    Attributes:
      schedule: from step to learning rate, before scaling.
      metric, mode: what has to improve, and whether that is 'max' or 'min'.
      factor: what the rate is multiplied with.
      patience: evaluations without improvement that are waited for.
      lowest: the scale does not fall below it.
    """

    schedule: Callable
    metric: str
    mode: str
    factor: float
    patience: int
    lowest: float

    def __call__(self, step) -> jax.Array:
        """The learning rate at a step, before scaling."""
        return self.schedule(step)


@gin.register
def plateau(
    *,
    total_steps: Steps,
    steps_per_epoch: Steps,
    peak: Positive,
    metric: str = 'val/loss',
    mode: Literal['max', 'min'] = 'min',
    factor: Annotated[float, Interval(gt=0, lt=1)] = 0.1,
    patience: Annotated[int, Ge(1)] = 10,
    lowest: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    warmup: NotNegative = 0.0,
) -> optax.Schedule:
    """The peak, times `factor` whenever `patience` evaluations brought no improvement.

    Args:
      total_steps, steps_per_epoch: length of the run and of an epoch.
      peak: the learning rate before it falls for the first time.
      metric, mode: a logged name such as 'val/loss', and whether more of it is better.
      factor, patience, lowest: as in `Plateau`.
      warmup: as in `constant`.
    """
    steps = {'total_steps': total_steps, 'steps_per_epoch': steps_per_epoch}
    flat = constant(**steps, peak=peak, warmup=warmup)
    return Plateau(flat, metric, mode, factor, patience, lowest)


class PlateauTracker:
    """The scale so far, and how long nothing has improved."""

    def __init__(self, plateau: Plateau, seen: dict | None = None):
        """Begins anew, or where `state()` of an earlier start stood."""
        self.plateau = plateau
        self.scale = seen['scale'] if seen else 1.0
        self.tracker = (
            Tracker.from_state(seen['tracker'], plateau.patience)
            if seen
            else Tracker(plateau.metric, plateau.mode, plateau.patience)
        )

    def update(self, step: int, scalars: dict) -> float:
        """Takes an evaluation; gives the scale from here on."""
        self.tracker.update(step, scalars.get(self.plateau.metric))
        if self.tracker.should_stop:
            self.tracker.without_improvement = 0
            self.scale = max(self.plateau.lowest, self.scale * self.plateau.factor)
        return self.scale

    def state(self) -> dict:
        """What has been seen, as JSON."""
        return {'scale': self.scale, 'tracker': self.tracker.state()}
