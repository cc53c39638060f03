"""Pictures with a mask file each: finds pairs, reads masks, numbers their classes.

Knows what masks hold; no split expression and no source.
"""

import dataclasses
import functools
import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from trainer.data.listing import Listing
from trainer.data.pictures import read_bytes, sides
from trainer.data.source import IGNORE, Unreadable, printable

SUFFIXES = ('.png', '.tif', '.tiff', '.bmp', '.gif')  # lossy ones hold no classes
MARK = re.compile(
    r'[-_ ]?(mask|masks|label|labels|seg|segmentation|gt)$', re.IGNORECASE
)
ROLES = {
    'images': ('image', 'images', 'img', 'imgs', 'jpegimages', 'pictures', 'photos'),
    'masks': ('mask', 'masks', 'label', 'labels', 'annotations', 'segmentationclass'),
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A picture and its mask: paths, what both are called, and their bytes."""

    key: str
    image: str
    mask: str
    size: int


def find_pairs(images: Listing, masks: Listing) -> tuple[list[Pair], list[str]]:
    """Pictures and masks of one name, sorted; and a line for each that is alone.

    Names are compared without suffixes, without a mask's mark ('a_mask.png' belongs to
    'a.jpg') and without folders called images or masks.
    """
    found = {_key(path, 'images'): path for path in images.sizes}
    covers = {_key(path, 'masks'): path for path in masks.sizes}
    pairs = [
        Pair(
            key,
            os.path.join(images.root, found[key]),
            os.path.join(masks.root, covers[key]),
            images.sizes[found[key]] + masks.sizes[covers[key]],
        )
        for key in found
        if key in covers
    ]
    alone = [f'{printable(p)}: no mask' for k, p in found.items() if k not in covers]
    alone += [
        f'{printable(p)}: no picture' for k, p in covers.items() if k not in found
    ]
    return sorted(pairs, key=lambda pair: os.fsencode(pair.key)), sorted(alone)


def role_of(path: str) -> str | None:
    """'images' or 'masks', by the folders that a path goes through."""
    folders = path.lower().split('/')[:-1]
    roles = [role for role, names in ROLES.items() if set(folders) & set(names)]
    return roles[0] if len(roles) == 1 else None


def read_mask(path: str) -> np.ndarray:
    """What a mask file holds, [H, W] of whole numbers; of a palette its indices.

    Raises:
      Unreadable: no picture, or one of colours.
    """
    data, name = read_bytes(path), printable(path)
    if not data:
        raise Unreadable(f'{name}: an empty file')
    try:
        with Image.open(io.BytesIO(data)) as mask:
            values = np.asarray(mask)
    except Exception as error:  # whatever broken bytes make a decoder raise
        reason = ' '.join(str(error).split())[:80]
        raise Unreadable(f'{name}: damaged ({reason})') from error
    if values.ndim == 3 and (values[..., :3] == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in 'uib':
        raise Unreadable(f'{name}: a mask of colours; expected one number a pixel')
    return values.astype(np.int64)


@functools.lru_cache(maxsize=4)
def scan_masks(pairs: tuple[Pair, ...]) -> list[tuple[int, ...] | str]:
    """The numbers in each mask, or what is wrong with it; reads them once."""
    with ThreadPoolExecutor(min(8, os.cpu_count())) as threads:
        return list(threads.map(_scan, pairs))


def number_classes(
    values: Sequence[int], names: Sequence[str] | None
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Which class (or IGNORE) each number in the masks is, and the classes' names.

    0 and 255 alone are background and foreground; else 255 is "ignore", and all other
    numbers are the classes. Numbers beyond given names mean nothing.
    """
    if set(values) <= {0, IGNORE} and IGNORE in values and len(names or 'bf') == 2:
        return {0: 0, IGNORE: 1}, tuple(names or ('background', 'foreground'))
    known = range(len(names)) if names else sorted(set(values) - {IGNORE})
    meaning = {value: number for number, value in enumerate(known)}
    return {**meaning, IGNORE: IGNORE}, tuple(names or map(str, known))


def sound_pairs(
    pairs: Sequence[Pair], scans, meaning: dict[int, int], num_classes: int
) -> tuple[list[Pair], list[str]]:
    """The pairs whose masks fit them and hold classes alone; a line for each other."""
    good, problems = [], []
    for pair, numbers in zip(pairs, scans, strict=True):
        if isinstance(numbers, str):
            problems.append(numbers)
        elif set(numbers) <= meaning.keys():
            good.append(pair)
        else:
            odd = min(set(numbers) - meaning.keys())
            name = printable(pair.mask)
            problems.append(f'{name}: the label {odd}, but {num_classes} classes')
    return good, problems


def _key(path, role):
    parts = [part for part in path.split('/') if part.lower() not in ROLES[role]]
    stem = os.path.splitext('/'.join(parts))[0]
    return MARK.sub('', stem) if role == 'masks' else stem


def _scan(pair):
    try:
        mask = read_mask(pair.mask)
        with Image.open(pair.image) as picture:
            width, height = picture.size
    except Unreadable as error:
        return str(error)
    except Exception:  # a picture that cannot be read is named when it is needed
        return tuple(np.unique(mask).tolist())
    if mask.shape not in ((height, width), (width, height)):
        name = printable(pair.image)
        return f'{name}: {width} x {height} pixels, but its mask {sides(mask)}'
    return tuple(np.unique(mask).tolist())
