"""Classification: each image has one of C classes.

Knows how classes are weighted, scored and decoded; nothing of nets, data files or
the loop.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import clu.metrics
import gin
import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Interval

from trainer.class_weights import as_numbers, balanced_weights, class_weights
from trainer.errors import UserError
from trainer.losses import softmax_cross_entropy
from trainer.metrics import classification_metrics
from trainer.ranked import ranked_metrics
from trainer.tasks.task import Batch, Task, known

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Softmax cross-entropy, top-1, top-5 and per-class accuracy.

    The batch has `label` [B], integers in [0, C); outputs are logits [B, C]. Where
    pictures are mixed it has `label_b` and `mix` as well, and accuracy counts `label`,
    which has the larger share.

    Attributes:
      label_smoothing: share of each target spread over all classes.
      class_weights: how much the examples of each class weigh in the loss: one number
        for each class, 'balanced' (inverse frequency in the training data), or None.
      focal_gamma: focal loss: above 0, what is already right weighs less.
      class_names, weights: filled in by `prepare`.
    """

    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    class_weights: Sequence[Annotated[float, Ge(0)]] | Literal['balanced'] | None = None
    focal_gamma: Annotated[float, Ge(0)] = 0.0
    class_names: tuple[str, ...] = dataclasses.field(default=(), init=False)
    weights: tuple[float, ...] | None = dataclasses.field(default=None, init=False)

    best: ClassVar[tuple[str, str]] = ('acc_top1', 'max')

    def __post_init__(self):
        object.__setattr__(self, 'class_weights', as_numbers(self.class_weights))

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that knows the names of the classes and their weights.

        Args:
          dataset: the training data: its `num_classes`, `class_names` and, for
            balanced weights, `label_counts()` [C].

        Raises:
          UserError: fewer than two classes, or weights that do not fit them.
        """
        names = tuple(dataset.class_names)
        if len(names) < 2:
            found = (
                f'one class only, {names[0]}; give it pictures of another'
                if names
                else "no classes; if its numbers are some, set the source's kind = "
                "'label', else choose another task"
            )
            raise UserError(f'Classification needs two classes; this data has {found}.')
        weights = class_weights(
            'Classification.class_weights',
            self.class_weights,
            len(names),
            lambda: balanced_weights(dataset.label_counts()),
        )
        return self.filled(class_names=names, weights=weights)

    @property
    def num_outputs(self) -> int:
        """C, one logit for each class."""
        return known(self.class_names)

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """Weighted cross-entropy: logits [B, C] -> [B]; see `softmax_cross_entropy`."""
        wanted = (*self.field(batch, 'label').shape, self.num_outputs)
        if outputs.shape != wanted:
            raise UserError(
                f'Classification needs logits of shape {wanted} (batch, classes), but '
                f'the model gives {outputs.shape}; give it a head such as Classifier.'
            )
        return softmax_cross_entropy(
            outputs,
            mixed_labels(batch, self.num_outputs),
            label_smoothing=self.label_smoothing,
            class_weights=self.weights,
            focal_gamma=self.focal_gamma,
        )

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """Loss and top-1; in evaluation also top-min(5, C) and each class."""
        if train:
            return classification_metrics(self.num_outputs, train)
        return ranked_metrics(self.num_outputs)

    def evidence(self, collection: clu.metrics.Collection) -> dict[str, np.ndarray]:
        """The likeliest classes of each example."""
        return collection.examples.rows()

    def learnt(self, first: dict, now: dict) -> bool:
        """True once every example is right; label smoothing keeps the loss up."""
        return now['acc_top1'] == 1

    def decode(self, outputs: jax.Array) -> dict[str, jax.Array]:
        """Logits [B, C] -> the likeliest `label` [B] and `probabilities` [B, C]."""
        return {
            'label': jnp.argmax(outputs, axis=-1).astype(jnp.int32),
            'probabilities': jax.nn.softmax(outputs.astype(jnp.float32), axis=-1),
        }


def mixed_labels(batch: Batch, num_classes: int) -> jax.Array:
    """The labels [B], or where pictures are mixed each class's share, [B, C]."""
    if 'mix' not in batch:
        return batch['label']
    label, other = (jax.nn.one_hot(batch[k], num_classes) for k in ('label', 'label_b'))
    mix = batch['mix'][:, None]
    return mix * label + (1 - mix) * other
