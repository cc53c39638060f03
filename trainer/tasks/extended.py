"""Extended: another task with further losses and metrics, which a config names.

Knows that a loss is a function of outputs and batch; nothing of any one task.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Self

import clu.metrics
import flax
import gin
import jax
import numpy as np
from annotated_types import Ge

from trainer.errors import UserError
from trainer.metrics import MeanLoss
from trainer.tasks.task import Batch, Task

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

OWN = 'task'  # what the loss of the extended task is called among the others
Loss = Callable[..., jax.Array]


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Extended(Task):
    """The weighted sum of a task's loss and of further ones, and further scores.

    Where there are further losses each is measured by itself, as `loss_<name>`.

    Attributes:
      task: what is extended; its own loss is called 'task'.
      losses: by name, functions `(outputs, batch) -> [B]`, jittable, float32; of
        examples whose `mask` is False they may give anything finite.
      loss_weights: how much each counts, by name; 1 where nothing is said.
      scores: by name, further metrics of an evaluation: a `clu.metrics.Metric`, or a
        function that gives one.
      made: the metrics of training and of evaluation; filled in by `prepare`.
    """

    task: Task
    losses: Mapping[str, Loss] = dataclasses.field(default_factory=dict)
    loss_weights: Mapping[str, Annotated[float, Ge(0)]] = dataclasses.field(
        default_factory=dict
    )
    scores: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    made: Mapping[bool, type[clu.metrics.Collection]] | None = dataclasses.field(
        default=None, init=False, compare=False, repr=False
    )

    def __post_init__(self):
        known = [OWN, *self.losses]
        odd = [name for name in self.loss_weights if name not in known]
        if odd or OWN in self.losses:
            raise UserError(
                f'Extended.loss_weights and losses speak of {(odd or [OWN])[0]!r}; the '
                f'losses are {", ".join(dict.fromkeys(known))}, of which {OWN!r} is '
                f'the loss of Extended.task.'
            )
        if not any(self.weight(name) for name in known):
            raise UserError(
                'Extended.loss_weights are all 0, so nothing would be learnt; give at '
                'least one loss a weight above 0.'
            )

    def weight(self, name: str) -> float:
        """How much a loss counts."""
        return self.loss_weights.get(name, 1.0)

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy whose task is prepared; raises what that raises."""
        return self._of(self.task.prepare(dataset))

    def with_stride(self, stride: int | None) -> Self:
        """A copy whose task knows the net's stride."""
        return self._of(self.task.with_stride(stride))

    def _of(self, task: Task) -> Self:
        extended = self.filled(task=task)
        made = {train: extended._collection(train) for train in (True, False)}
        return extended.filled(made=made)

    @property
    def best(self) -> tuple[str, str]:
        """By which metric the task chooses the best checkpoint."""
        return self.task.best

    @property
    def weights(self) -> tuple[float, ...] | None:
        """Of the classes in the task's loss, where it has such."""
        return getattr(self.task, 'weights', None)

    @property
    def num_outputs(self) -> int | tuple[int, ...]:
        """As many as the task needs."""
        return self.task.num_outputs

    def train_outputs(self, apply: Callable, batch: Batch):
        """As the task does."""
        return self.task.train_outputs(apply, batch)

    def eval_outputs(self, apply: Callable, batch: Batch):
        """As the task does."""
        return self.task.eval_outputs(apply, batch)

    def loss(self, outputs, batch: Batch) -> jax.Array:
        """The weighted sum, [B]."""
        total = self.weight(OWN) * self.task.loss(outputs, batch)
        for name, function in self.losses.items():
            total += self.weight(name) * _checked(name, function, outputs, batch)
        return total

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """Those of the task, each loss, and in evaluation the scores."""
        if self.made is None:
            raise RuntimeError('Call prepare(dataset) first.')
        return self.made[train]

    def learnt(self, first: dict, now: dict) -> bool:
        """As the task says."""
        return self.task.learnt(first, now)

    def summarize(self, collection: clu.metrics.Collection) -> dict:
        """As the task does."""
        return self.task.summarize(collection)

    def evidence(self, collection: clu.metrics.Collection) -> dict[str, np.ndarray]:
        """As the task does."""
        return self.task.evidence(collection)

    def decode(self, outputs) -> dict[str, jax.Array]:
        """As the task does."""
        return self.task.decode(outputs)

    def _collection(self, train: bool) -> type[clu.metrics.Collection]:
        parts = dict(self.task.metrics(train).__annotations__)
        if self.losses:
            parts[f'loss_{OWN}'] = loss_metric(OWN, self.task.loss)
        for name, function in self.losses.items():
            parts[f'loss_{name}'] = loss_metric(name, function)
        if not train:
            parts |= {name: metric_of(name, said) for name, said in self.scores.items()}
        return clu.metrics.Collection.create(**parts)


def loss_metric(name: str, function: Loss) -> type[MeanLoss]:
    """The mean of one loss; XLA computes it once for the sum and for this."""

    @flax.struct.dataclass
    class OneLoss(MeanLoss):
        @classmethod
        def from_model_output(cls, *, outputs, losses, **batch):
            values = _checked(name, function, outputs, batch)
            return super().from_model_output(losses=values, mask=batch['mask'])

    return OneLoss


def metric_of(name: str, said: Callable) -> type[clu.metrics.Metric]:
    """The metric that a reference stands for: a class itself, or what it returns.

    Raises:
      UserError: it is neither.
    """
    named = getattr(said, 'func', said)
    metric = named if isinstance(named, type) else said()
    if not (isinstance(metric, type) and issubclass(metric, clu.metrics.Metric)):
        raise UserError(
            f'Extended.scores has {name!r}: {metric!r}, which is no clu.metrics.Metric '
            f'and no function that gives one.'
        )
    return metric


def _checked(name: str, function: Loss, outputs, batch: Batch) -> jax.Array:
    """One loss for each example, or UserError."""
    values, wanted = function(outputs, batch), batch['mask'].shape
    if values.shape != wanted:
        raise UserError(
            f'The loss {name!r} gives an array of shape {values.shape}; it must give '
            f'one number for each example, {wanted}.'
        )
    return values
