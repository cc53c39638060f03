"""Pictures in files, their label fields known beforehand; knows no folder layout."""

import hashlib
import os
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data.pictures import is_grey, read_picture
from trainer.data.source import Examples, printable

LOOKED_AT = 32  # headers that decide whether a set is grey


class Photos(Examples):
    """One picture a file, its labels in columns.

    No label lies in the picture's pixels, so a large JPEG is decoded smaller where
    `enough` allows it.

    Args:
      name: of source and split.
      root: folder that paths are relative to; '' where they are whole.
      paths: of the files.
      columns: label fields, [N, ...] each.
      channels: of every picture given, 1 or 3.
      sizes: bytes of each file, for the fingerprint.
      names: class_names, target_names ... as `Examples` has them.
    """

    def __init__(
        self,
        name: str,
        root: str,
        paths: Sequence[str],
        columns: Mapping[str, np.ndarray],
        channels: int,
        sizes: Sequence[int],
        **names,
    ):
        self.name, self.root, self.paths = name, root, list(paths)
        self.columns, self.channels = dict(columns), channels
        self.labels_known = tuple(self.columns)
        self.image_shape = (None, None, channels)
        for attribute, value in names.items():
            setattr(self, attribute, value)
        self.fingerprint = self._fingerprint(sizes)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        (path,) = self.files(index)
        image = read_picture(path, self.channels, self.enough)
        return {'image': image, **{key: v[index] for key, v in self.columns.items()}}

    def column(self, field):
        return self.columns[field]

    def files(self, index):
        return (os.path.join(self.root, self.paths[index]),)

    def identify(self, index):
        return printable(self.paths[index])

    def _fingerprint(self, sizes):
        """Of names, sizes and labels: no file is opened for it."""
        facts = hashlib.sha256()
        for part in (self.class_names, self.target_names, self.paths, map(str, sizes)):
            facts.update('\0'.join(part).encode('utf-8', 'surrogateescape') + b'\1')
        for key, values in sorted(self.columns.items()):
            facts.update(key.encode() + np.ascontiguousarray(values).tobytes())
        return facts.hexdigest()


def count_channels(root: str, paths: Sequence[str]) -> int:
    """1 where all of some files, spread over the set, are grey; else 3."""
    some = np.unique(np.linspace(0, len(paths) - 1, LOOKED_AT).astype(int))
    grey = [is_grey(os.path.join(root, paths[i])) for i in some.tolist()]
    known = [answer for answer in grey if answer is not None]
    return 1 if known and all(known) else 3
