"""Recipe: what a step needs to know, all of it static; it holds no arrays."""

import dataclasses
from collections.abc import Callable

import clu.metrics
import optax

from trainer.descent import Average
from trainer.network import Network
from trainer.tasks import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a batch becomes a better state.

    Attributes:
      network: applied to images.
      task: losses and metrics, prepared with the classes of the data.
      optimizer: of the parameters named in `trained`.
      schedule: the learning rate as a function of the step.
      trained: names of the parameters that move.
      prepare: `(batch, key) -> batch`, augmented and normalised.
      seed: all randomness is folded from it and the step.
      accumulate: parts that a batch is worked through in, one after the other.
      average: keeps an average of the weights, or None.
      scaled: whether the learning rate is scaled by what evaluations say.
    """

    network: Network
    task: Task
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    trained: tuple[str, ...]
    prepare: Callable
    seed: int = 0
    accumulate: int = 1
    average: Average | None = None
    scaled: bool = False

    @property
    def train_metrics(self) -> type[clu.metrics.Collection]:
        """What is measured in training."""
        return self.task.metrics(train=True)
