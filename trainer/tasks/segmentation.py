"""Segmentation: each pixel of an image has one of C classes.

Knows how classes are weighted, penalised, scored and decoded; nothing of nets, data
files or the loop.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import clu.metrics
import gin
import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge

from trainer.class_weights import as_numbers, balanced_weights, class_weights
from trainer.errors import UserError
from trainer.losses_segmentation import pixel_cross_entropy, soft_dice
from trainer.metrics_segmentation import segmentation_metrics
from trainer.tasks.task import Batch, Task, known

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Segmentation(Task):
    """Cross-entropy and Dice; mean IoU, IoU of each class and pixel accuracy.

    The batch has `segmentation` [B, H, W], integers in [0, C) or 255, which is not
    scored. Outputs are logits [B, H, W, C]: larger ones are cut at the bottom and on
    the right, as of a head that rounds sizes up, and smaller ones enlarged.

    Attributes:
      cross_entropy, dice: how much each counts in the loss.
      class_weights: how much the pixels of each class weigh in the loss: one number
        for each class, 'balanced' (inverse frequency of pixels in the training data),
        or None.
      focal_gamma: above 0, what is already right weighs less in the cross-entropy.
      class_names, weights: filled in by `prepare`.
    """

    cross_entropy: Annotated[float, Ge(0)] = 1.0
    dice: Annotated[float, Ge(0)] = 0.0
    class_weights: Sequence[Annotated[float, Ge(0)]] | Literal['balanced'] | None = None
    focal_gamma: Annotated[float, Ge(0)] = 0.0
    class_names: tuple[str, ...] = dataclasses.field(default=(), init=False)
    weights: tuple[float, ...] | None = dataclasses.field(default=None, init=False)

    best: ClassVar[tuple[str, str]] = ('miou', 'max')

    def __post_init__(self):
        object.__setattr__(self, 'class_weights', as_numbers(self.class_weights))
        if not self.cross_entropy and not self.dice:
            raise UserError(
                'Segmentation.cross_entropy and Segmentation.dice are both 0, so '
                'nothing would be learnt; give one of them a weight above 0.'
            )

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that knows the names of the classes and their weights.

        Args:
          dataset: the training data: its `segmentation_names` and, for balanced
            weights, `pixel_counts()` [C].

        Raises:
          UserError: data without label maps, weights that do not fit the classes.
        """
        names = tuple(dataset.segmentation_names)
        if not names:
            raise UserError(
                'Segmentation needs examples with a label map, and this data has none; '
                'name a source of such, as MaskFolder, or choose another task.'
            )
        weights = class_weights(
            'Segmentation.class_weights',
            self.class_weights,
            len(names),
            lambda: balanced_weights(dataset.pixel_counts()),
        )
        return self.filled(class_names=names, weights=weights)

    @property
    def num_outputs(self) -> int:
        """C, one logit of each pixel for each class."""
        return known(self.class_names)

    def train_outputs(self, apply: Callable, batch: Batch) -> jax.Array:
        """Logits of the image's size; see `fit`."""
        return fit(apply(batch['image']), batch['image'].shape[1:3])

    eval_outputs = train_outputs

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """The weighted sum of the losses: logits [B, H, W, C] -> [B]."""
        labels = batch['segmentation']
        wanted = (*labels.shape, self.num_outputs)
        if outputs.shape != wanted:
            raise UserError(
                f'Segmentation needs logits of shape {wanted} (batch, height, width, '
                f'classes), but the model gives {outputs.shape}; give it a head such '
                f'as Segmenter.'
            )
        total = jnp.zeros(len(labels), jnp.float32)
        if self.cross_entropy:
            total += self.cross_entropy * pixel_cross_entropy(
                outputs,
                labels,
                class_weights=self.weights,
                focal_gamma=self.focal_gamma,
            )
        if self.dice:
            total += self.dice * soft_dice(outputs, labels, class_weights=self.weights)
        return total

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """Loss and pixel accuracy; in evaluation also the mean and each class's IoU."""
        return segmentation_metrics(self.num_outputs, train)

    def evidence(self, collection: clu.metrics.Collection) -> dict[str, np.ndarray]:
        """Pixels of each class by what they are taken for, [C, C]."""
        return {'confusion': collection.iou_class.numbers}

    def learnt(self, first: dict, now: dict) -> bool:
        """True once 99 of 100 pixels are right; some of an outline may stay wrong."""
        return now['acc_pixel'] > 0.99

    def decode(self, outputs: jax.Array) -> dict[str, jax.Array]:
        """Logits [B, H, W, C] -> `segmentation` [B, H, W] uint8, the likeliest."""
        return {'segmentation': jnp.argmax(outputs, axis=-1).astype(jnp.uint8)}


def fit(outputs: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Logits of an image's size: [B, h, w, C] -> [B, H, W, C].

    Logits that reach over the image are cut, to its right and below it; any others are
    interpolated to its size. What is no map stays as it is.
    """
    if outputs.ndim != 4 or outputs.shape[1:3] == size:
        return outputs
    if outputs.shape[1] >= size[0] and outputs.shape[2] >= size[1]:
        return outputs[:, : size[0], : size[1]]
    batch, *_, classes = outputs.shape
    return jax.image.resize(outputs, (batch, *size, classes), 'bilinear')
