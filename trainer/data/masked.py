"""Pictures with the class of each pixel, as examples; knows no folder."""

import numpy as np

from trainer.data.masks import read_mask
from trainer.data.pictures import conform, decode, read_bytes, sides
from trainer.data.source import IGNORE, Examples, Unreadable, digest, printable


class Masked(Examples):
    """Pictures with the class of each pixel.

    Args:
      name: of source and split.
      pairs: the files.
      meaning: class (or IGNORE) of each number in the masks.
      names: of the classes.
      channels: of every picture given, 1 or 3.
    """

    def __init__(self, name: str, pairs, meaning, names, channels: int):
        self.name, self.pairs = name, list(pairs)
        self.segmentation_names, self.channels = tuple(names), channels
        self.image_shape = (None, None, channels)
        self.meaning = np.full(max(meaning) + 1, IGNORE, np.uint8)
        self.meaning[list(meaning)] = list(meaning.values())
        facts = [(ascii(pair.key), pair.size) for pair in self.pairs]
        self.fingerprint = digest(facts, self.meaning.tolist(), list(names))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        pair = self.pairs[index]
        mask = read_mask(pair.mask)
        if mask.max() >= len(self.meaning) or mask.min() < 0:
            raise Unreadable(f'{printable(pair.mask)}: changed since it was first read')
        data, name = read_bytes(pair.image), printable(pair.image)
        for upright in (True, False):  # masks know nothing of EXIF, or all
            image = decode(data, name, upright)
            if image.shape[:2] == mask.shape:
                image = conform(image, self.channels)
                return {'image': image, 'segmentation': self.meaning[mask]}
        raise Unreadable(f'{name}: {sides(image)} pixels, but its mask {sides(mask)}')

    def files(self, index):
        return self.pairs[index].image, self.pairs[index].mask

    def identify(self, index):
        return printable(self.pairs[index].image)
