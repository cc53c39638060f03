"""Keypoints: K places in an image, each found as the peak of a heat map.

Knows how heat maps are drawn, penalised, read and scored; nothing of nets, data files
or the loop.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import clu.metrics
import gin
import jax
import jax.numpy as jnp
import optax
from annotated_types import Gt
from jax.scipy.special import entr

from trainer import heat_maps
from trainer.centres import Grid
from trainer.class_weights import as_numbers
from trainer.errors import UserError
from trainer.metrics import MeanLoss
from trainer.metrics_keypoints import keypoint_metrics, sigmas_of
from trainer.tasks.task import Batch, Task, known

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

Positive = Annotated[float, Gt(0)]


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Keypoints(Task):
    """A heat map for each keypoint; PCK, and average precision as COCO has it.

    The batch has `keypoints` [B, N, K, 3] of x, y, visibility, and `boxes` [B, N, 4],
    `box_labels` [B, N] and `areas` [B, N] of the objects. Outputs are heat maps
    [B, h, w, K] of any stride, such as a `KeypointHead` gives.

    Made for one object an image. Where the data has several (N > 1) all are learnt, and
    evaluation looks for each in its own box, as is usual for crops by given boxes; a
    prediction, that knows no boxes, is of one object. `Coco.max_objects = 1` keeps the
    largest.

    Attributes:
      sigma: standard deviation of a peak, in cells of the heat maps.
      penalty: 'mse', where outputs are heights, or 'bce', where they are logits.
      pck: how near is right, in units of the larger side of the box.
      oks_sigmas: COCO's "sigma" of each keypoint, or one number for all: how exactly it
        can be labelled; 'coco' for the 17 of COCO's people.
      flip_test: whether evaluation and prediction take the mean of an image and its
        mirror image.
      keypoint_names, flip_pairs, image_size: filled in by `prepare`.
      stride: pixels to a cell of the maps; filled in by `with_stride`.

    References:
      Tompson et al., Joint Training of a Convolutional Network and a Graphical Model
      for Human Pose Estimation (2014). Xiao et al. (2018),
      https://arxiv.org/abs/1804.06208. Yang and Ramanan (2013), PCK.
    """

    sigma: Positive = 2.0
    penalty: Literal['mse', 'bce'] = 'mse'
    pck: Sequence[Positive] = (0.1,)
    oks_sigmas: Positive | Sequence[Positive] | Literal['coco'] = 0.05
    flip_test: bool = False
    keypoint_names: tuple[str, ...] = dataclasses.field(default=(), init=False)
    flip_pairs: tuple[tuple[int, int], ...] = dataclasses.field(default=(), init=False)
    image_size: tuple[int, int] | None = dataclasses.field(default=None, init=False)
    stride: int | None = dataclasses.field(default=None, init=False)

    best: ClassVar[tuple[str, str]] = ('ap', 'max')

    def __post_init__(self):
        object.__setattr__(self, 'pck', as_numbers(self.pck))
        object.__setattr__(self, 'oks_sigmas', as_numbers(self.oks_sigmas))
        if not self.pck:
            raise UserError('Keypoints.pck is empty; give a threshold, such as (0.1,).')

    def prepare(self, dataset: 'Dataset') -> Self:
        """A copy that knows the keypoints' names and pairs, and the size of the images.

        Args:
          dataset: the training data: `keypoint_names`, `flip_pairs`, `image_shape`.

        Raises:
          UserError: data without keypoints, or `oks_sigmas` that do not fit them.
        """
        names, shape = tuple(dataset.keypoint_names), tuple(dataset.image_shape)
        if not names or len(shape) != 3:
            raise UserError(
                'Keypoints needs images with keypoints, and this data has none; name a '
                'source of such, as Coco, or choose another task.'
            )
        prepared = self.filled(
            keypoint_names=names,
            flip_pairs=tuple(dataset.flip_pairs),
            image_size=shape[:2],
        )
        prepared.sigmas  # noqa: B018 - refuses what does not fit
        return prepared

    def with_stride(self, stride: int | None) -> Self:
        """A copy that knows how many pixels a cell of its maps has."""
        return self.filled(stride=stride)

    @property
    def sigmas(self) -> tuple[float, ...]:
        """COCO's sigma of each keypoint."""
        return sigmas_of('Keypoints', self.oks_sigmas, len(self.keypoint_names))

    @property
    def num_outputs(self) -> int:
        """K, one heat map for each keypoint."""
        return known(self.keypoint_names)

    def eval_outputs(self, apply: Callable, batch: Batch) -> jax.Array:
        """Heat maps of an image, or their mean with those of its mirror image."""
        outputs = apply(batch['image'])
        if not self.flip_test:
            return outputs
        grid, width = self._grid(outputs), batch['image'].shape[2]
        if grid.stride * grid.columns != width:
            raise UserError(
                f'Keypoints.flip_test needs images whose width the stride of the heat '
                f'maps divides, but {width} is no multiple of {grid.stride}; choose '
                f'another size, or leave it out.'
            )
        flipped = apply(batch['image'][:, :, ::-1])
        return (outputs + heat_maps.mirrored(flipped, self.flip_pairs)) / 2

    def loss(self, outputs: jax.Array, batch: Batch) -> jax.Array:
        """The mean penalty of the maps of labelled keypoints: [B, h, w, K] -> [B].

        Summed over the cells, in units of what an empty map costs, so that neither the
        size of the maps nor `sigma` changes its scale.
        """
        keypoints = self.field(batch, 'keypoints')
        self._check(outputs, keypoints)
        wanted = heat_maps.draw(self._grid(outputs), keypoints, self.sigma)
        penalties = PENALTIES[self.penalty](outputs.astype(jnp.float32), wanted)
        penalties = jnp.sum(penalties, axis=(1, 2)) / (math.pi * self.sigma**2)
        labelled = jnp.any(keypoints[..., 2] > 0, axis=1)
        total = jnp.sum(jnp.where(labelled, penalties, 0), axis=-1)
        return total / jnp.maximum(jnp.sum(labelled, axis=-1), 1)

    def metrics(self, train: bool) -> type[clu.metrics.Collection]:
        """The loss; in evaluation also PCK, of each keypoint too, and COCO's AP."""
        if train:
            return TrainMetrics
        return keypoint_metrics(self._peaks, self.pck, self.sigmas)

    def learnt(self, first: dict, now: dict) -> bool:
        """True at a tenth of the first loss."""
        return now['loss'] < 0.1 * first['loss']

    def decode(self, outputs: jax.Array) -> dict[str, jax.Array]:
        """Heat maps [B, h, w, K] -> what is found, in pixels of the image.

        Returns:
          `keypoints` [B, K, 3] of x, y and the height of the peak, and their mean
          height, `score` [B].
        """
        found = self._peaks(outputs)[:, 0]
        return {'keypoints': found, 'score': jnp.mean(found[..., 2], axis=-1)}

    @property
    def _peaks(self) -> heat_maps.Peaks:
        return heat_maps.Peaks(self.image_size, self.penalty == 'bce', self.stride)

    def _grid(self, outputs: jax.Array) -> Grid:
        return Grid(*self.image_size, *outputs.shape[1:3], self.stride)

    def _check(self, outputs: jax.Array, keypoints: jax.Array) -> None:
        if outputs.ndim != 4 or outputs.shape[-1] != self.num_outputs:
            raise UserError(
                f'Keypoints needs heat maps (batch, rows, columns, keypoints) of '
                f'{self.num_outputs} keypoints, but the model gives {outputs.shape}; '
                f'give it a head such as KeypointHead.'
            )


def squared(heights: jax.Array, wanted: jax.Array) -> jax.Array:
    """The squared distance, element by element."""
    return jnp.square(heights - wanted)


def divergence(logits: jax.Array, wanted: jax.Array) -> jax.Array:
    """Binary cross-entropy, less the least that it can be; element by element."""
    least = entr(wanted) + entr(1 - wanted)
    return optax.losses.sigmoid_binary_cross_entropy(logits, wanted) - least


PENALTIES = {'mse': squared, 'bce': divergence}
TrainMetrics = clu.metrics.Collection.create(loss=MeanLoss)
