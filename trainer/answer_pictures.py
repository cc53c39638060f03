"""Pictures as answers: in a folder, one PNG for each image file, of its name and size.

Knows what is found in a file by the names of its arrays; no task and no net.
"""

import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from trainer import files
from trainer.data.pictures import read_picture
from trainer.drawing import captioned, colours, draw
from trainer.errors import UserError
from trainer.readable import readable

MARK = ('Software', 'Juniper predict')  # in each PNG, which may be written again
SAID = 3  # classes in the caption of an overlay


class Folder:
    """A folder that gets a PNG for each image file, called after it."""

    def __init__(self, flag: str, path: str):
        """Sees that it can be made; `write` makes it, so that none is left empty.

        Args:
          flag: that named it, for messages.
          path: of the folder.

        Raises:
          UserError: it cannot be made or written to.
        """
        self.flag, self.path = flag, files.check_folder(flag, path)
        self._taken: set[str] = set()

    def check(self, words: Sequence[str], images: Sequence[pathlib.Path]) -> None:
        """Sees that nothing is lost there, and that no input is added.

        Args:
          words: what was named to be predicted, folders among it.
          images: all files that will be.

        Raises:
          UserError: it holds some of them, lies in a folder that is named, or has a
            file of a name to come that was not written here.
        """
        real = pathlib.Path(os.path.realpath(self.path))
        named = {os.path.realpath(os.path.expanduser(word)) for word in words}
        holding = {os.path.realpath(parent) for parent in {p.parent for p in images}}
        if str(real) in holding or named & set(map(str, (real, *real.parents))):
            raise UserError(
                f'--{self.flag}={self.path} lies where the pictures to predict are, '
                f'and would mix with them; name a folder outside of theirs.'
            )
        taken: set[str] = set()
        names = [f'{_free(image.stem, taken)}.png' for image in images]
        kept = [name for name in names if _is_kept(self.path / name)]
        if kept:
            raise UserError(
                f'--{self.flag}={self.path} holds {", ".join(kept[:3])}'
                f'{" ..." if len(kept) > 3 else ""} that predict has not written and '
                f'would replace; name another folder.'
            )

    def write(self, name: str, picture: Image.Image) -> pathlib.Path:
        """Writes `<name>.png`; `<name>_2.png` where another image is called so.

        Raises:
          UserError: it cannot be written.
        """
        path = self.path / f'{_free(name, self._taken)}.png'
        files.make_folder(self.flag, self.path)
        try:
            picture.save(path, pnginfo=_mark())
        except OSError as error:
            raise files.unwritable(self.flag, self.path, error) from error
        return path


def _free(name: str, taken: set[str]) -> str:
    """A name that is not taken; it is from then on."""
    stem, number = name, 1
    while stem in taken:
        number += 1
        stem = f'{name}_{number}'
    taken.add(stem)
    return stem


def _mark() -> PngInfo:
    """What says of a PNG that it was written here."""
    said = PngInfo()
    said.add_text(*MARK)
    return said


def _is_kept(path: pathlib.Path) -> bool:
    """Whether there is something at a path that was not written here."""
    if not os.path.lexists(path):
        return False
    try:
        with Image.open(path) as picture:
            return picture.info.get(MARK[0]) != MARK[1]
    except (OSError, ValueError, Image.DecompressionBombError):
        return True


def mask_of(found: dict) -> Image.Image:
    """The classes of an image's pixels as a PNG of numbers with colours; 255 is none.

    Raises:
      UserError: the run learnt no segmentation.
    """
    if 'segmentation' not in found:
        raise UserError(
            f'--masks needs a run that gives each pixel a class, and this one predicts '
            f'{", ".join(found)}; leave it out.'
        )
    mask = Image.fromarray(found['segmentation'])
    mask.putpalette(np.ascontiguousarray(colours()).tobytes())
    return mask


def overlay_of(path: pathlib.Path, found: dict, data) -> Image.Image:
    """The file's picture with what is found in it; classes and numbers as a caption."""
    channels = data.image_shape[-1]
    picture = draw(read_picture(str(path), channels), found, data.class_names)
    return Image.fromarray(captioned(picture, caption(found, data)))


def caption(found: dict, data) -> list[str]:
    """What is found, in a line or a few, as far as nothing can be drawn of it."""
    said = readable(found, data, SAID)
    if 'top' in said:
        return [f'{one["label"]} {one["probability"]:.2f}' for one in said['top']]
    if 'labels' in said:
        return [', '.join(said['labels']) or 'none']
    if 'shares' in said:
        large = sorted(said['shares'].items(), key=lambda item: -item[1])[:SAID]
        return [f'{name} {share:.0%}' for name, share in large]
    numbers = {k: v for k, v in said.items() if isinstance(v, int | float)}
    return [f'{name} {value:.4g}' for name, value in numbers.items()]


def with_masks(found: Iterator, folder: Folder) -> Iterator:
    """What is found, its masks written as they come; says where as `mask`."""
    for path, one in found:
        written = folder.write(path.stem, mask_of(one))
        yield path, {**one, 'mask': np.str_(written)}


def with_overlays(found: Iterator, folder: Folder, data) -> Iterator:
    """What is found, drawn into the files' pictures, written as they come."""
    for path, one in found:
        folder.write(path.stem, overlay_of(path, one, data))
        yield path, one
