"""Multi-label classification: each image has any number of C classes, or none.

Knows how labels are weighted, scored and decoded; nothing of nets, data files or the
loop.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import clu.metrics
import gin
import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Interval

from trainer.calibration import binned
from trainer.class_weights import as_numbers, check_numbers, class_weights
from trainer.errors import UserError
from trainer.losses import sigmoid_cross_entropy
from trainer.metrics_multilabel import multilabel_metrics
from trainer.tasks.task import Batch, Task, known

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

Threshold = Annotated[float, Interval(gt=0, lt=1)]


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiLabel(Task):
    """A yes or no for each class; mean average precision, and F1 at best thresholds.

    The batch has `labels` [B, C], 0 or 1; outputs are logits [B, C], one for each
    class, such as a `Classifier` gives.

    Attributes:
      positive_weights: how much more the examples of a class weigh than those that
        are not of it: one number for each class, 'balanced' (as many times as there
        are more of the others in the training data), or None.
      focal_gamma: focal loss: above 0, what is already right weighs less.
      threshold: probability from which on a prediction says yes: one number, or one
        for each class, such as the `threshold_class_0` that an evaluation has found.
      class_names, weights: filled in by `prepare`.
    """

    positive_weights: Sequence[Annotated[float, Gt(0)]] | Literal['balanced'] | None = (
        None
    )
    focal_gamma: Annotated[float, Ge(0)] = 0.0
    threshold: Threshold | Sequence[Threshold] = 0.5
    class_names: tuple[str, ...] = dataclasses.field(default=(), init=False)
    weights: tuple[float, ...] | None = dataclasses.field(default=None, init=False)

    best: ClassVar[tuple[str, str]] = ('map', 'max')

    def __post_init__(self):
        for field in ('positive_weights', 'threshold'):
            object.__setattr__(self, field, as_numbers(getattr(self, field)))

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that knows the names of the classes and their weights.

        Args:
          dataset: the training data: its `class_names`, and for balanced weights
            `label_counts()` [C] and `num_examples`.

        Raises:
          UserError: no classes, or numbers that do not fit them.
        """
        names = tuple(dataset.class_names)
        if not names:
            raise UserError(
                'MultiLabel needs examples with labels, and this data has no classes; '
                'give it a column of 0 and 1 for each class, or choose another task.'
            )
        if isinstance(self.threshold, tuple):
            check_numbers(
                'MultiLabel.threshold', self.threshold, len(names), positive=True
            )
        weights = class_weights(
            'MultiLabel.positive_weights',
            self.positive_weights,
            len(names),
            lambda: balanced_weights(dataset.label_counts(), dataset.num_examples),
            positive=True,
        )
        return self.filled(class_names=names, weights=weights)

    @property
    def num_outputs(self) -> int:
        """C, one logit for each class."""
        return known(self.class_names)

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Logits [B, C] -> [B]; see `sigmoid_cross_entropy`."""
        labels = self.field(batch, 'labels')
        if outputs.shape != labels.shape:
            raise UserError(
                f'MultiLabel needs logits of shape {labels.shape} (batch, classes), '
                f'but the model gives {outputs.shape}; give it a head such as '
                f'Classifier.'
            )
        return sigmoid_cross_entropy(
            outputs,
            labels,
            positive_weights=self.weights,
            focal_gamma=self.focal_gamma,
        )

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """Loss and share of right answers; in evaluation also mAP, F1, each class."""
        return multilabel_metrics(self.num_outputs, train)

    def evidence(self, collection: clu.metrics.Collection) -> dict[str, np.ndarray]:
        """Right, wrong and missed answers of each class, [C], at its threshold.

        And how sure all answers were, see `calibration.binned`.
        """
        rows = collection.scores.rows()
        if not rows:
            return {}
        scores = 1 / (1 + np.exp(-rows['outputs'].astype(np.float64)))
        there, said = rows['labels'] > 0.5, scores >= np.asarray(self.threshold)
        return {
            'right': (there & said).sum(axis=0),
            'wrong': (~there & said).sum(axis=0),
            'missed': (there & ~said).sum(axis=0),
            'binned': binned(scores.ravel(), there.ravel()),
        }

    def learnt(self, first: dict, now: dict) -> bool:
        """True once every answer is right."""
        return now['acc_labels'] == 1

    def decode(self, outputs: jax.Array) -> dict[str, jax.Array]:
        """Logits [B, C] -> `labels` [B, C], true where yes, and `scores` [B, C]."""
        scores = jax.nn.sigmoid(outputs.astype(jnp.float32))
        return {'labels': scores >= jnp.asarray(self.threshold), 'scores': scores}


def balanced_weights(counts: np.ndarray, num_examples: int) -> tuple[float, ...]:
    """Examples that are not of a class for each that is; 1 where none or all are.

    Args:
      counts: [C], examples of each class.
      num_examples: of all.
    """
    counts = np.asarray(counts)
    others = num_examples - counts
    weights = np.where((counts > 0) & (others > 0), others / np.maximum(counts, 1), 1.0)
    return tuple(weights.tolist())
