"""ImageFolder: pictures sorted into folders by class, split or unsplit."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated, ClassVar

import gin
import numpy as np
from annotated_types import Interval

from trainer.data.source import Examples, Source, printable
from trainer.data.splits import canonical, cut, sizes_of
from trainer.data.stratify import interleave, train_test
from trainer.errors import UserError


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFolder(Source):
    """folder/CLASS/... or folder/{train,val,test}/CLASS/...; what `Images.folder` is.

    Folders below a class belong to it. Without folders for the splits, each class is
    split into train and test by a hash of the files' names. An empty class is named
    and dropped.

    Attributes:
      folder: the root.
      test_fraction: share of each class that is 'test', where the folder has no splits.
      follow_links: read also what links lead to outside of the folder.
    """

    folder: str
    test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2
    follow_links: bool = False

    default_size: ClassVar[int | None] = 64

    def open(self, split: str) -> Examples:
        """Raises UserError: no folder, no picture in it, one class only, no split."""
        from trainer.data.listing import list_files
        from trainer.data.photos import Photos, count_channels
        from trainer.data.pictures import SUFFIXES

        root = os.path.expanduser(self.folder)
        listing = list_files(root, SUFFIXES, self.follow_links)
        layout = Layout(list(listing.sizes), listing.folders)
        classes = layout.class_names
        self._check_classes(
            classes, [*listing.problems, *listing.remarks, *layout.remarks]
        )
        paths = [path for _, _, path in layout.rows]
        labels = np.searchsorted(classes, [name for _, name, _ in layout.rows])
        name = printable(self.folder)
        splits = layout.splits(labels, self.test_fraction)
        rows = cut(name, split, splits)
        return Photos(
            f'{name} [{split}]',
            root,
            [paths[row] for row in rows],
            {'label': labels[rows]},
            count_channels(root, paths),
            [listing.sizes[paths[row]] for row in rows],
            class_names=tuple(map(printable, classes)),
            problems=_inside(name, listing.problems),
            remarks=_inside(name, [*listing.remarks, *layout.remarks]),
            own_splits=sizes_of(splits) if layout.is_split else {},
        )

    def _check_classes(self, classes, reasons):
        name = printable(self.folder)
        if len(classes) > 1:
            return
        more = f' Left out: {"; ".join(reasons[:2])}.' if reasons else ''
        if not classes:
            raise UserError(
                f'{name} holds no picture in a folder of its class; expected in it '
                f'CLASS/PICTURE.jpg (or png, webp, bmp, gif, tiff).{more}'
            )
        raise UserError(
            f'{name} has one class only, {printable(classes[0])}; a classifier needs '
            f'two: one folder for each in {name}.{more}'
        )


class Layout:
    """What the folders mean.

    Attributes:
      rows: (split or None, class, path) of each picture that has a class.
      class_names: sorted; those of all splits.
      is_split: whether there are folders for the splits, and not for 'train' alone.
      remarks: what was left out.
    """

    def __init__(self, paths: Sequence[str], folders: Sequence[str]):
        self.remarks: list[str] = []
        self._folders = [tuple(folder.split('/')) for folder in folders]
        self.rows = self._arrange([(tuple(p.split('/')), p) for p in paths], 0)
        self.class_names = sorted({name for _, name, _ in self.rows})
        self.is_split = not {split for split, _, _ in self.rows} <= {None, 'train'}

    def splits(self, labels: np.ndarray, test_fraction: float) -> dict[str, np.ndarray]:
        """Row numbers of each split, classes spread evenly in it."""
        if not self.is_split:
            names = [path for _, _, path in self.rows]
            return train_test(names, labels, test_fraction)
        named = np.array([split for split, _, _ in self.rows])
        present = [s for s in ('train', 'val', 'test') if s in named]
        return {s: interleave(np.flatnonzero(named == s), labels) for s in present}

    def _arrange(self, files, depth):
        """Goes down while there is but one folder, and it has folders in it."""
        tops = {parts[depth] for parts, _ in files if len(parts) > depth + 1}
        below = [parts for parts, _ in files if len(parts) > depth + 1]
        if self._has_splits(below, depth):
            return self._with_splits(files, depth)
        deep = all(len(parts) > depth + 2 for parts in below)
        if len(tops) == 1 and deep:
            return self._arrange(files, depth + 1)
        kept = [(None, p[depth], path) for p, path in files if len(p) > depth + 1]
        self._say_left_out(files, kept, depth)
        return kept

    @staticmethod
    def _has_splits(below, depth):
        """A folder 'train' that holds nothing but folders; 'train' may be a class.

        Or val and test alone, with folders in both.
        """
        tops = {canonical(parts[depth]) for parts in below}
        within = below
        if 'train' in tops:
            within = [parts for parts in below if canonical(parts[depth]) == 'train']
        elif tops != {'val', 'test'}:
            return False
        return all(len(parts) > depth + 2 for parts in within)

    def _with_splits(self, files, depth):
        kept = [
            (canonical(parts[depth]), parts[depth + 1], path)
            for parts, path in files
            if len(parts) > depth + 2 and canonical(parts[depth])
        ]
        self._say_left_out(files, kept, depth + 1)
        return kept

    def _say_left_out(self, files, kept, depth):
        classes = {name for _, name, _ in kept}
        candidates = {f[depth] for f in self._folders if len(f) == depth + 1}
        for name in sorted(candidates - classes):
            self.remarks.append(f'class {printable(name)} is dropped: no picture in it')
        if len(kept) < len(files):
            taken = {path for _, _, path in kept}
            first = next(path for _, path in files if path not in taken)
            self.remarks.append(
                f'{len(files) - len(kept)} of {len(files)} pictures lie in no folder '
                f'of a class, such as {printable(first)}'
            )


def _inside(root, lines):
    return tuple(f'{root}: {line}' for line in lines)
