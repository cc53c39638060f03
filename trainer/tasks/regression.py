"""Regression: numbers to be predicted, one or several for each example.

Knows how targets are scaled to be learnt, penalised, scored and given back in their own
units; nothing of nets, data files or the loop.
"""

import dataclasses
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import clu.metrics
import gin
import jax
import jax.numpy as jnp
import numpy as np
import optax
from annotated_types import Gt

from trainer.errors import UserError
from trainer.metrics_regression import regression_metrics
from trainer.tasks.task import Batch, Task, known

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """Standardised targets; R2, RMSE and MAE in the targets' own units.

    The batch has `target` [B, T] in its own units; outputs are [B, T], in standard
    deviations from the mean of the training data. So is the loss, in which every
    target has the same say, whatever its unit.

    Attributes:
      penalty: of an error: its square ('mse'), its size ('mae'), or its square near
        zero and its size beyond `huber_delta` ('huber').
      huber_delta: where a Huber penalty turns, in standard deviations.
      target_names, mean, std: T each; filled in by `prepare`.

    References:
      Huber, Robust Estimation of a Location Parameter (1964).
    """

    penalty: Literal['mse', 'mae', 'huber'] = 'mse'
    huber_delta: Annotated[float, Gt(0)] = 1.0
    target_names: tuple[str, ...] = dataclasses.field(default=(), init=False)
    mean: tuple[float, ...] = dataclasses.field(default=(), init=False)
    std: tuple[float, ...] = dataclasses.field(default=(), init=False)

    best: ClassVar[tuple[str, str]] = ('r2', 'max')

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that knows the targets' names, means and standard deviations.

        Args:
          dataset: the training data: its `target_names` and `target_statistics`.

        Raises:
          UserError: the data has no targets, or one that is not a finite number.
        """
        names = tuple(dataset.target_names)
        if not names:
            raise UserError(
                'Regression needs examples with a target, and this data has none; '
                'name its columns of numbers, or choose another task.'
            )
        mean, std = dataset.target_statistics
        # A target that never changes is learnt as it is.
        std = tuple(value or 1.0 for value in std)
        return self.filled(target_names=names, mean=mean, std=std)

    @property
    def num_outputs(self) -> int:
        """T, one number for each target."""
        return known(self.target_names)

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """The mean penalty over the targets: outputs [B, T] -> [B]."""
        target = self.field(batch, 'target')
        if outputs.shape != target.shape:
            raise UserError(
                f'Regression needs outputs of shape {target.shape} (batch, targets), '
                f'but the model gives {outputs.shape}; give it a head such as '
                f'Regressor.'
            )
        wanted = (target - jnp.asarray(self.mean)) / jnp.asarray(self.std)
        return jnp.mean(self._penalise(outputs, wanted), axis=-1)

    def _penalise(self, outputs: jax.Array, wanted: jax.Array) -> jax.Array:
        if self.penalty == 'huber':
            return optax.losses.huber_loss(outputs, wanted, delta=self.huber_delta)
        if self.penalty == 'mae':
            return jnp.abs(outputs - wanted)
        return jnp.square(outputs - wanted)

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """The loss; in evaluation also R2, RMSE and MAE."""
        return regression_metrics(self.mean, self.std, train)

    def evidence(self, collection: clu.metrics.Collection) -> dict[str, np.ndarray]:
        """Predictions and targets, [N, T] each, in the targets' units."""
        rows = collection.scores.rows()
        if not rows:
            return {}
        predicted = np.add(self.mean, np.multiply(self.std, rows['outputs']))
        return {'predicted': predicted, 'target': rows['target']}

    def decode(self, outputs: jax.Array) -> dict[str, jax.Array]:
        """Outputs [B, T] -> each target [B] by its name, in its own units."""
        values = outputs * jnp.asarray(self.std) + jnp.asarray(self.mean)
        return {name: values[:, i] for i, name in enumerate(self.target_names)}
