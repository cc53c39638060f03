"""MaskFolder: pictures with a mask file each, for segmentation."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated, ClassVar

import gin
import numpy as np
from annotated_types import Interval

from trainer.data.source import Examples, Source, printable
from trainer.data.splits import canonical, cut, sizes_of
from trainer.data.stratify import train_test
from trainer.errors import UserError


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskFolder(Source):
    """folder/images/a.jpg and folder/masks/a.png, or two folders by their paths.

    Folders train, val and test, above or below images and masks, are the splits;
    without them, a hash of the names splits. A mask is a PNG (TIFF, BMP, GIF) of one
    number a pixel, or of a palette; 255 is "ignore", or the foreground where masks hold
    0 and 255 alone. All masks are read once, when the data is opened.

    Attributes:
      folder: that holds images and masks.
      images, masks: folders of each, instead.
      class_names: of the numbers 0, 1, ... in the masks; None for the numbers that
        occur.
      test_fraction: share that is 'test', where there are no folders for splits.
    """

    folder: str | None = None
    images: str | None = None
    masks: str | None = None
    class_names: Sequence[str] | None = None
    test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2

    default_size: ClassVar[int | None] = 64

    def open(self, split: str) -> Examples:
        """Raises UserError: no folder, no pair, one class only, no split."""
        from trainer.data import masks
        from trainer.data.checks import check_segmentation_names
        from trainer.data.masked import Masked
        from trainer.data.photos import count_channels

        name = printable(self.folder or self.images or '')
        images, covers = self._listings()
        pairs, problems = masks.find_pairs(images, covers)
        scans = masks.scan_masks(tuple(pairs))
        values = set().union(*(scan for scan in scans if not isinstance(scan, str)))
        meaning, names = masks.number_classes(sorted(values), self.class_names)
        pairs, bad = masks.sound_pairs(pairs, scans, meaning, len(names))
        problems += images.problems + covers.problems + bad
        self._check(name, pairs, names, problems)
        check_segmentation_names(name, names)
        splits = self._splits(pairs)
        rows = cut(name, split, splits)
        channels = count_channels('', [pair.image for pair in pairs])
        chosen = [pairs[row] for row in rows]
        masked = Masked(f'{name} [{split}]', chosen, meaning, names, channels)
        masked.problems = tuple(problems)
        if 'train' in _tops(pairs):
            masked.own_splits = sizes_of(splits)
        return masked

    def _listings(self):
        """What lies in the folders of the pictures and of the masks."""
        from trainer.data.listing import list_files
        from trainer.data.masks import SUFFIXES, role_of
        from trainer.data.pictures import SUFFIXES as PICTURES

        if self.images and self.masks:
            images, masks = map(os.path.expanduser, (self.images, self.masks))
            return list_files(images, PICTURES), list_files(masks, SUFFIXES)
        if not self.folder:
            raise UserError(
                'MaskFolder needs MaskFolder.folder, or both MaskFolder.images and '
                'MaskFolder.masks.'
            )
        whole = list_files(os.path.expanduser(self.folder), PICTURES)
        parts = {
            role: {p: s for p, s in whole.sizes.items() if role_of(p) == role}
            for role in ('images', 'masks')
        }
        masks = {
            p: s for p, s in parts['masks'].items() if p.lower().endswith(SUFFIXES)
        }
        return (
            dataclasses.replace(whole, sizes=parts['images']),
            dataclasses.replace(whole, sizes=masks, problems=[]),
        )

    def _check(self, name, pairs, names, problems):
        more = f' Left out: {"; ".join(problems[:2])}.' if problems else ''
        if not pairs:
            raise UserError(
                f'{name} holds no picture with a mask; expected images/NAME.jpg and '
                f'masks/NAME.png (a JPEG blurs the classes).{more}'
            )
        if len(names) < 2:
            raise UserError(f'{name}: the masks hold one class only, {names[0]}.{more}')

    def _splits(self, pairs):
        tops = _tops(pairs)
        if 'train' not in tops:
            return train_test([pair.key for pair in pairs], None, self.test_fraction)
        tops = np.array(tops)
        present = [split for split in ('train', 'val', 'test') if split in tops]
        return {split: np.flatnonzero(tops == split) for split in present}


def _tops(pairs):
    """The split that the first folder of each pair is called after, or 'None'."""
    return [str(canonical(pair.key.split('/')[0])) for pair in pairs]
