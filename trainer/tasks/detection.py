"""Detection: where the objects of an image are, and of which of C classes.

Knows how boxes are penalised, scored and decoded; nothing of nets, data files or the
loop.
"""

import dataclasses
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import clu.metrics
import gin
import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge

from trainer.centres import Grid, Peaks, centre_maps, inside_maps, take
from trainer.errors import UserError
from trainer.losses_detection import (
    box_distance,
    centre_focal,
    generalised_iou,
    mean_of_objects,
)
from trainer.metrics_detection import crowd_of, detection_metrics
from trainer.tasks.task import Batch, Task, known

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

MAPS = ('heatmap', 'offset', 'size')


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Detection(Task):
    """Centres without anchors; COCO's mAP at an overlap of 0.5, and of 0.5 to 0.95.

    The batch has `boxes` [B, N, 4] in pixels, `box_labels` [B, N], -1 for padding, and
    may have `crowd` [B, N]: regions that are neither to be found nor penalised. Outputs
    are {'heatmap': [B, h, w, C], 'offset': [B, h, w, 2], 'size': [B, h, w, 2]}, as a
    Detector's: logits of a centre, the centre's place from the middle of its cell, and
    the logarithm of the box's sides, (y, x) in cells.

    Attributes:
      box_loss: 'giou', of the boxes, or 'l1', of offsets and sizes.
      box_weight: how much it counts beside the focal loss of the heat maps.
      most: boxes that are found in an image, at most.
      class_names, image_size: filled in by `prepare`.
      stride: pixels to a cell of the maps; filled in by `with_stride`.

    References:
      Zhou et al., Objects as Points (2019), https://arxiv.org/abs/1904.07850.
    """

    box_loss: Literal['giou', 'l1'] = 'giou'
    box_weight: Annotated[float, Ge(0)] = 1.0
    most: Annotated[int, Ge(1)] = 100
    class_names: tuple[str, ...] = dataclasses.field(default=(), init=False)
    image_size: tuple[int, int] | None = dataclasses.field(default=None, init=False)
    stride: int | None = dataclasses.field(default=None, init=False)

    best: ClassVar[tuple[str, str]] = ('map', 'max')

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that knows the names of the classes and the size of the images.

        Args:
          dataset: the training data: its `class_names` and `image_shape`.

        Raises:
          UserError: data without classes, or without images.
        """
        names, shape = tuple(dataset.class_names), tuple(dataset.image_shape)
        if not names or len(shape) != 3:
            raise UserError(
                f'{type(self).__name__} needs images with boxes of named classes, and '
                f'this data has none; name a source of such, as Coco, or choose '
                f'another task.'
            )
        return self.filled(class_names=names, image_size=shape[:2])

    def with_stride(self, stride: int | None) -> Self:
        """A copy that knows how many pixels a cell of its maps has."""
        return self.filled(stride=stride)

    @property
    def num_outputs(self) -> int:
        """C, one heat map for each class."""
        return self.num_classes

    @property
    def num_classes(self) -> int:
        """C; known once prepared."""
        return known(self.class_names)

    def loss(self, outputs: dict[str, jax.Array], batch: Batch) -> jax.Array:
        """Focal loss of the centres, and loss of the boxes at them: -> [B]."""
        self._check(outputs, batch)
        boxes, labels, crowd = batch['boxes'], batch['box_labels'], crowd_of(batch)
        cells = outputs['heatmap'].shape[1:3]
        grid, classes = Grid(*self.image_size, *cells, self.stride), self.num_classes
        there = (labels >= 0) & ~crowd
        centres = centre_maps(grid, boxes, jnp.where(there, labels, -1), classes)
        regions = jnp.where(crowd, labels, -1)
        scored = ~inside_maps(grid, boxes, regions, classes)
        count = jnp.sum(there, axis=-1)
        heat = centre_focal(outputs['heatmap'], centres, scored, count)
        return heat + self.box_weight * mean_of_objects(
            self._box_losses(grid, outputs, boxes), there
        )

    def _box_losses(self, grid, outputs, boxes) -> jax.Array:
        """Of what is said at the cells of the boxes' centres, [B, N]."""
        cells = grid.cells_of(boxes)
        said = [take(outputs[name], cells).astype('float32') for name in MAPS[1:]]
        if self.box_loss == 'l1':
            return box_distance(*said, *grid.offset_and_size(boxes, cells))
        return 1 - generalised_iou(grid.boxes(*said, cells), boxes)

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """The loss; in evaluation also mAP, and that of each class."""
        return detection_metrics(self._peaks, self.num_classes, train)

    def evidence(self, collection: clu.metrics.Collection) -> dict[str, np.ndarray]:
        """How many objects there are of each class, [C]."""
        labels = collection.scores.rows().get('box_labels', np.zeros(0, int)).ravel()
        counts = np.bincount(labels[labels >= 0], minlength=len(self.class_names))
        return {'count': counts}

    def decode(self, outputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """The likeliest boxes, the best first, of K at most.

        Returns:
          `boxes` [B, K, 4] in pixels, `scores` [B, K] in [0, 1] and `box_labels`
          [B, K], -1 where there are fewer.
        """
        return self._peaks(outputs)

    def learnt(self, first: dict, now: dict) -> bool:
        """True at a tenth of the first loss; boxes are never met to the last pixel."""
        return now['loss'] < 0.1 * first['loss']

    @property
    def _peaks(self) -> Peaks:
        return Peaks(self.image_size, self.most, self.stride)

    def _check(self, outputs, batch: Batch) -> None:
        name = type(self).__name__
        if 'boxes' not in batch or 'box_labels' not in batch:
            raise UserError(
                f'{name} needs examples with boxes and box_labels; these have only '
                f'{", ".join(sorted(batch))}. Name another source, or another task.'
            )
        shapes = jax.tree.map(jnp.shape, outputs)
        fits = isinstance(outputs, dict) and shapes.keys() >= set(MAPS)
        if fits:
            wanted = {'heatmap': self.num_classes, 'offset': 2, 'size': 2}
            cells = shapes['heatmap'][:3]
            fits = all(shapes[k] == (*cells, wanted[k]) for k in MAPS)
        if not fits:
            raise UserError(
                f'{name} needs heatmap [B, h, w, {self.num_classes}], offset [B, h, w, '
                f'2] and size [B, h, w, 2], but the model gives {shapes}; give it a '
                f'head such as Detector.'
            )
