"""Image files that people name: found, decoded, and brought to the size of a run.

Promises uint8 [H, W, C], or one line that says why not; knows nothing of nets.
"""

import glob
import itertools
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from trainer.data.listing import list_files
from trainer.data.pictures import SUFFIXES, read_picture
from trainer.data.reader import takes_rng
from trainer.data.source import Unreadable
from trainer.errors import UserError
from trainer.frames import Frame, transformed, whole
from trainer.screen import tell, warn
from trainer.transforms import resize

CHANNELS = (1, 3)  # that a file can be decoded to: grey, RGB


Word = str | os.PathLike


def find_images(words: Word | Sequence[Word]) -> list[pathlib.Path]:
    """Paths of image files, in the order in which they are named.

    A file is taken whatever it is called. A folder stands for all files below it that
    are called like an image, sorted, hidden ones left out; a glob ('photos/**/*.png')
    for what it matches, sorted. What does not exist stays, for the reader to name.
    One alone may stand without a list.
    """
    words, found = [words] if isinstance(words, Word) else words, []
    for word in words:
        path = pathlib.Path(word).expanduser()
        matches = [] if path.exists() else sorted(glob.glob(str(path), recursive=True))
        for match in map(pathlib.Path, matches or [path]):
            found += _images_below(match) if match.is_dir() else [match]
    return found


class ImageReader:
    """File -> image of the shape that a net was trained on; threads may share it."""

    def __init__(self, transforms: Sequence[Callable], image_shape: tuple[int, ...]):
        """Takes the transforms of a run, of which those without chance are applied.

        Raises:
          UserError: the net was not trained on images, or of channels no file has.
        """
        if len(image_shape) != 3 or image_shape[-1] not in CHANNELS:
            raise UserError(
                f'This run learnt from arrays of shape {list(image_shape)}, and files '
                f'hold images of 1 or 3 channels; apply its model in Python.'
            )
        self.image_shape = tuple(image_shape)
        self._resized = itertools.count()
        self._transforms = [t for t in transforms if not takes_rng(t)]

    def __call__(self, path: pathlib.Path) -> tuple[np.ndarray, Frame]:
        """uint8 [H, W, C] and where it lies in the file.

        Raises:
          UserError: there is no image; names the file.
        """
        try:
            image = read_picture(str(path), self.image_shape[-1])
        except Unreadable as error:
            raise UserError(str(error)) from error
        return self.fitted(image, path)

    def fitted(self, image: np.ndarray, path) -> tuple[np.ndarray, Frame]:
        """An image [H', W', C] at the net's size [H, W, C], and where it lies there.

        Args:
          image: uint8.
          path: what it is called where it is told of.
        """
        height, width, _ = self.image_shape
        image, frame = self._transformed(image)
        if image.shape != self.image_shape:
            if next(self._resized) == 0:
                self._tell_resized(path, image)
            image = resize(np.ascontiguousarray(image), height, width)
            frame = frame.resized((height, width))
        return image, frame

    def _tell_resized(self, path: pathlib.Path, image: np.ndarray) -> None:
        """One line, for the first of them."""
        came, wanted = (
            f'{height}x{width}' for height, width, _ in (image.shape, self.image_shape)
        )
        tell(
            f'{path} has {came} pixels after the transforms of the run; images that '
            f'have not {wanted} are resized to it'
        )

    def _transformed(self, image: np.ndarray) -> tuple[np.ndarray, Frame]:
        """As the run's transforms have it; as it was where they do not apply."""
        try:
            return transformed(image, self._transforms)
        except UserError:  # such as a crop that is larger than the image
            return image, whole(image.shape[:2])


def _images_below(folder: pathlib.Path) -> list[pathlib.Path]:
    listing = list_files(str(folder), SUFFIXES, follow_links=True)
    for problem in listing.problems:
        warn(f'{folder}/{problem}')
    if not listing.sizes:
        warn(f'{folder}: holds no file that is called like an image')
    return [folder / path for path in listing.sizes]
