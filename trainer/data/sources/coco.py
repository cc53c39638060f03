"""Coco: boxes, keypoints and masks as COCO's .json files hold them."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import gin
import numpy as np
from annotated_types import Ge, Interval

from trainer.data.source import Examples, Source, printable
from trainer.data.splits import canonical, cut
from trainer.data.stratify import train_test
from trainer.errors import UserError

Field = Literal['boxes', 'keypoints', 'segmentation']


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Coco(Source):
    """Pictures with a .json of annotations, as COCO and most labelling tools write it.

    Attributes:
      annotations: the .json, split into train and test by a hash of the images' names;
        or one for each split: {'train': 'a.json', 'val': 'b.json'}.
      images: folder of the pictures, or one for each split; None is the .json's.
      fields: what examples hold; None for all that the file has. Painting a
        segmentation costs some milliseconds: leave it out where it is not learnt.
      max_objects: N; None for as many as the fullest image has. Of more, the largest
        are kept.
      flip_pairs: keypoints that change places in a mirror; None pairs those that are
        called left and right.
      test_fraction: share that is 'test', where there is one .json.
    """

    annotations: str | Mapping[str, str]
    images: str | Mapping[str, str] | None = None
    fields: Sequence[Field] | None = None
    max_objects: Annotated[int, Ge(1)] | None = None
    flip_pairs: Sequence[tuple[int, int]] | None = None
    test_fraction: Annotated[float, Interval(gt=0, lt=1)] = 0.2

    default_size: ClassVar[int | None] = 64

    def open(self, split: str) -> Examples:
        """Raises UserError: no file, none of COCO's, no image, no split."""
        from trainer.data.coco_examples import CocoExamples
        from trainer.data.coco_file import read_coco

        found = {s: read_coco(*paths) for s, paths in self._files().items()}
        if not found:
            raise UserError('Coco.annotations names no file; name one, or one a split.')
        first = next(iter(found.values()))
        name = printable(self._name())
        for other in found.values():
            if other.class_names != first.class_names:
                raise UserError(
                    f'{name}: the categories differ: {first.class_names} and '
                    f'{other.class_names}.'
                )
        records = [record for part in found.values() for record in part.records]
        if not records or not first.class_names:
            problems = '; '.join(first.problems[:2])
            raise UserError(f'{name} has no image or no category. {problems}'.strip())
        if not any(record.things for record in records):
            problems = '; '.join(first.problems[:2])
            raise UserError(f'{name} has no usable annotation. {problems}'.strip())
        rows = cut(name, split, self._splits(found, records))
        problems = tuple(line for part in found.values() for line in part.problems)
        return CocoExamples(self, f'{name} [{split}]', records, rows, first, problems)

    def _name(self):
        if isinstance(self.annotations, str):
            return self.annotations
        return next(iter(self.annotations.values()))

    def _files(self):
        """(.json, folder of pictures) of each split; None for a split of our own."""
        files = self.annotations
        files = {None: files} if isinstance(files, str) else dict(files)
        folders = self.images
        if not isinstance(folders, Mapping):
            folders = dict.fromkeys(files, folders)
        missing = [split for split in files if split not in folders]
        if missing:
            raise UserError(
                f'Coco.images has no folder for {missing[0]!r}; its splits are '
                f'{", ".join(folders)}.'
            )
        return {split: _places(files[split], folders[split]) for split in files}

    def _splits(self, found, records):
        if None in found:
            names = [os.path.basename(record.path) for record in records]
            return train_test(names, None, self.test_fraction)
        sizes = [len(part.records) for part in found.values()]
        spans = np.split(np.arange(len(records)), np.cumsum(sizes)[:-1])
        names = [canonical(split) or split for split in found]
        return dict(zip(names, spans, strict=True))


def _places(file, folder):
    """Paths of a .json and of its pictures' folder."""
    file = os.path.expanduser(file)
    return file, os.path.dirname(file) if folder is None else os.path.expanduser(folder)
