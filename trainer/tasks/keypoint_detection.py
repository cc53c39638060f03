"""Keypoints of several objects: their boxes, and where in each its K keypoints are.

Knows how both are penalised, scored and decoded; nothing of nets, data files or the
loop.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import clu.metrics
import gin
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt

from trainer.centres import Peaks
from trainer.class_weights import as_numbers
from trainer.errors import UserError
from trainer.metrics_detection import crowd_of, detection_metrics
from trainer.metrics_instances import instance_metrics
from trainer.metrics_keypoints import sigmas_of
from trainer.region_points import Instances, assigned, padded, point_loss
from trainer.tasks.detection import Detection
from trainer.tasks.task import Batch, known

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

Positive = Annotated[float, Gt(0)]


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class KeypointDetection(Detection):
    """Boxes as `Detection` has them, and the keypoints in each; COCO's AP of both.

    The batch has `keypoints` [B, N, K, 3] of x, y, visibility and `areas` [B, N] beside
    what `Detection` needs. Outputs have `regions` [B, R, 4] and `points` [B, R, S, S,
    K] beside a detector's: logits of where each keypoint is in a region, such as a
    `KeypointRCNN` gives of the regions it is asked for: the likeliest boxes, and, where
    labels are known, those of the objects, all padded.

    Attributes:
      keypoint_weight: how much keypoints count beside boxes.
      proposals: boxes of an image that are looked into in training, at most, beside
        those of the objects.
      most: boxes that are found in an image, at most; COCO scores 20 with keypoints.
      padding: how far beyond its box a region reaches, in sides of the box, since a
        keypoint may lie on its edge; the paper has 0.
      oks_sigmas: as in `Keypoints`.
      keypoint_names: filled in by `prepare`.

    References:
      He et al., Mask R-CNN (2017), https://arxiv.org/abs/1703.06870, section 5.
    """

    keypoint_weight: Annotated[float, Ge(0)] = 1.0
    proposals: Annotated[int, Ge(1)] = 16
    most: Annotated[int, Ge(1)] = 20
    padding: Annotated[float, Ge(0)] = 0.125
    oks_sigmas: Positive | Sequence[Positive] | Literal['coco'] = 0.05
    keypoint_names: tuple[str, ...] = dataclasses.field(default=(), init=False)

    best: ClassVar[tuple[str, str]] = ('keypoint_ap', 'max')

    def __post_init__(self):
        object.__setattr__(self, 'oks_sigmas', as_numbers(self.oks_sigmas))

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that also knows the names of the keypoints.

        Args:
          dataset: the training data: `class_names`, `keypoint_names`, `image_shape`.

        Raises:
          UserError: data without boxes or keypoints, or `oks_sigmas` that do not fit.
        """
        names = tuple(dataset.keypoint_names)
        if not names:
            raise UserError(
                'KeypointDetection needs images with keypoints, and this data has '
                'none; name a source of such, as Coco, or learn boxes: @Detection().'
            )
        prepared = super().prepare(dataset).filled(keypoint_names=names)
        prepared.sigmas  # noqa: B018 - refuses what does not fit
        return prepared

    @property
    def sigmas(self) -> tuple[float, ...]:
        """COCO's sigma of each keypoint."""
        count = known(self.keypoint_names)
        return sigmas_of('KeypointDetection', self.oks_sigmas, count)

    @property
    def num_outputs(self) -> tuple[int, int]:
        """C and K, the kinds of objects, and the keypoints of each."""
        return self.num_classes, known(self.keypoint_names)

    def train_outputs(self, apply: Callable, batch: Batch):
        """Looks into some of the likeliest boxes, and into those of the objects."""
        return apply(batch['image'], regions=self._regions(batch, self.proposals))

    def eval_outputs(self, apply: Callable, batch: Batch):
        """Looks into all boxes that are found; for the loss, into the objects' too.

        So the loss is of more regions than in training.
        """
        return apply(batch['image'], regions=self._regions(batch, self.most))

    def loss(self, outputs: dict[str, jax.Array], batch: Batch) -> jax.Array:
        """That of the boxes, and that of the keypoints in what is found of them."""
        losses = super().loss(outputs, batch)
        keypoints = self.field(batch, 'keypoints')
        self._check_points(outputs, keypoints)
        there = (batch['box_labels'] >= 0) & ~crowd_of(batch)
        boxes = padded(batch['boxes'], self.padding)
        which, good = assigned(outputs['regions'], boxes, there)
        wanted = jax.vmap(lambda rows, at: rows[at])(keypoints, which)
        wanted = jnp.where(good[..., None, None], wanted, 0)
        points = point_loss(outputs['points'], outputs['regions'], wanted)
        return losses + self.keypoint_weight * points

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """The loss; in evaluation also mAP of boxes, and AP of keypoints."""
        if train:
            return detection_metrics(self._peaks, self.num_classes, train)
        return instance_metrics(self._instances, self.num_classes, self.sigmas)

    def decode(self, outputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """What `Detection` gives, and `keypoints` [B, K, points, 3].

        Of each box x, y in pixels and how likely the keypoint is in that very cell.
        """
        return self._instances(outputs)

    @property
    def _instances(self) -> Instances:
        return Instances(self.image_size, self.most, self.padding, self.stride)

    def _regions(self, batch: Batch, most: int) -> Callable:
        """What a head is to look into, as a function of what its detector says."""
        peaks = Peaks(self.image_size, most, self.stride)

        def regions(outputs):
            found = peaks(jax.lax.stop_gradient(outputs))['boxes']
            given = [batch['boxes']] if 'boxes' in batch else []
            return padded(jnp.concatenate([found, *given], axis=1), self.padding)

        return regions

    def _check_points(self, outputs, keypoints: jax.Array) -> None:
        shapes = {name: jnp.shape(maps) for name, maps in outputs.items()}
        points = shapes.get('points', ())
        wanted = keypoints.shape[2]
        if len(points) != 5 or points[-1] != wanted or 'regions' not in shapes:
            raise UserError(
                f'KeypointDetection needs regions [B, R, 4] and points [B, R, S, S, '
                f'{wanted}], but the model gives {shapes}; give it the head '
                f'KeypointRCNN.'
            )
