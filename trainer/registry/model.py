"""A published model, loaded: images in, answers out, and its card at hand."""

import dataclasses
import functools
import os
from collections.abc import Sequence

import jax
import numpy as np

from trainer.errors import UserError
from trainer.image_files import ImageReader, find_images
from trainer.predict import Predictor, open_predictor
from trainer.registry.shelf import Published


def open_predictor_of(published: Published) -> Predictor:
    """The net of a version, after every byte of the version was verified.

    Raises:
      UserError: it is not what was published; names the file.
    """
    return open_predictor(published.verify().path, str(published.step))


def open_model(published: Published) -> 'Model':
    """A version to call; raises as `open_predictor_of`."""
    return Model(published, open_predictor_of(published))


@dataclasses.dataclass(frozen=True)
class Model:
    """A published net with all that is done to an image before and after it.

    Attributes:
      published: its name, version, scores, note and card.
      predictor: its net and weights.
    """

    published: Published
    predictor: Predictor

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the classes, in the order of the answers."""
        return self.predictor.data.class_names

    @property
    def scores(self) -> dict[str, float | None]:
        """What its run scored, {'test/acc_top1': 0.9, ...}."""
        return self.published.scores

    @property
    def card(self) -> str:
        """What it is, for people, as Markdown."""
        return self.published.card

    def predict(self, paths: Sequence[str | os.PathLike], top: int = 5) -> list[dict]:
        """What it says of image files; as `trainer.predict.predict`."""
        return list(self.predictor.rows(find_images(paths), top))

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Decoded answers for a batch.

        Args:
          images: uint8 [B, H, W, C], of any size: they are brought to the net's by the
            transforms of the run's evaluation; or float32 [B, F] where the run learnt
            from numbers.

        Returns:
          By name what the task decodes, [B, ...]; places are in pixels of `images`.

        Raises:
          UserError: another shape or type.
        """
        images = np.asarray(images)
        shape = self.predictor.data.image_shape
        if len(shape) != 3:
            return self._answers(_checked(images, shape, 'float32'))
        images = _checked(images, (None, None, shape[-1]), 'uint8')
        fitted = [self._reader.fitted(image, 'an image') for image in images]
        found = self._answers(np.stack([image for image, _ in fitted]))
        rows = [
            frame.to_file({name: values[index] for name, values in found.items()})
            for index, (_, frame) in enumerate(fitted)
        ]
        return {name: np.stack([row[name] for row in rows]) for name in found}

    @functools.cached_property
    def _reader(self) -> ImageReader:
        predictor = self.predictor
        return ImageReader(predictor.images.host_transforms, predictor.data.image_shape)

    @functools.cached_property
    def _program(self):
        return jax.jit(self.predictor.from_pixels(self.predictor.decode))

    def _answers(self, images: np.ndarray) -> dict[str, np.ndarray]:
        weights = self.predictor.params, self.predictor.model_state
        return jax.device_get(self._program(*weights, images))


def _checked(images: np.ndarray, shape: tuple, dtype: str) -> np.ndarray:
    """A batch of at least one, each of a shape in which None is any size."""
    fits = images.ndim == len(shape) + 1 and len(images) and images.dtype == dtype
    sizes = zip(images.shape[1:], shape, strict=False)
    if not fits or any(size != want for size, want in sizes if want is not None):
        wanted = ', '.join('*' if size is None else str(size) for size in shape)
        raise UserError(
            f'This model takes {dtype} [B, {wanted}] with B > 0, not {images.dtype} '
            f'{list(images.shape)}.'
        )
    return images
