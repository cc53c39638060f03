"""Reads every example of a data set once, and writes down what it met.

Knows examples and files; what is a defect among the entries is `defects.py`.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from trainer.data.checks import check_example
from trainer.data.pictures import read_bytes
from trainer.data.source import IGNORE, Examples, Unreadable
from trainer.data.traits import GREYSCALE, Header, read_header
from trainer.errors import UserError

AT_ONCE = 1024  # examples that wait for a thread; a set may have millions

Counts = Mapping[str, Mapping[int, int]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """What one example is.

    Attributes:
      name: its file, row or id.
      path: of its picture's file, None where it has none of its own.
      problem: why it cannot be used, in one line; None where it can.
      content: hash of its file's bytes, or of its pixels; '' where there is a problem.
      width, height: pixels of the picture as stored; 0 where nobody knows.
      traits: what is unusual about the file.
      counts: how often each class is in it, by unit: 'examples' (of one
        class each), 'labels' (several an example), 'objects' or 'pixels'.
    """

    name: str
    path: str | None = None
    problem: str | None = None
    content: str = ''
    width: int = 0
    height: int = 0
    traits: tuple[str, ...] = ()
    counts: Counts = dataclasses.field(default_factory=dict)


def take_inventory(source: Examples, channels: int) -> list[Entry]:
    """An entry for each example, in order.

    Args:
      source: opened.
      channels: that its pictures are given; grey files are usual where it is 1.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count())) as threads:
        return list(_entries(source, channels, threads))


def count_classes(entries: list[Entry]) -> dict[str, dict[int, int]]:
    """How often each class is there, over all entries, by unit."""
    total: dict[str, dict[int, int]] = {}
    for entry in entries:
        for unit, counts in entry.counts.items():
            mine = total.setdefault(unit, {})
            for number, count in counts.items():
                mine[number] = mine.get(number, 0) + count
    return total


def _entries(source, channels, threads) -> Iterator[Entry]:
    for start in range(0, len(source), AT_ONCE):
        part = range(start, min(start + AT_ONCE, len(source)))
        yield from threads.map(lambda index: _entry(source, index, channels), part)


def _entry(source: Examples, index: int, channels: int) -> Entry:
    name, paths = source.identify(index), source.files(index)
    path = paths[0] if paths else None
    try:
        contents = [read_bytes(file) for file in paths]
        example = source[index]
        check_example(name, example, source)
    except (Unreadable, UserError) as error:
        return Entry(name=name, path=path, problem=str(error))
    image = example['image']
    found = read_header(contents[0]) if contents else _shape(image)
    usual = (GREYSCALE,) if channels == 1 else ()
    return Entry(
        name=name,
        path=path,
        content=_hash(contents[0] if contents else image),
        width=found.width if found else 0,
        height=found.height if found else 0,
        traits=tuple(t for t in found.traits if t not in usual) if found else (),
        counts=_counts(example),
    )


def _shape(image: np.ndarray) -> Header | None:
    return Header(image.shape[1], image.shape[0], ()) if image.ndim == 3 else None


def _hash(content: bytes | np.ndarray) -> str:
    found = hashlib.sha256()
    if isinstance(content, np.ndarray):
        found.update(repr((content.shape, str(content.dtype))).encode())
        content = np.ascontiguousarray(content)
    found.update(content)
    return found.hexdigest()


def _counts(example: dict) -> Counts:
    counts = {}
    if 'label' in example:
        counts['examples'] = {int(example['label']): 1}
    if 'labels' in example:
        numbers = np.flatnonzero(example['labels'])
        counts['labels'] = dict.fromkeys(numbers.tolist(), 1)
    if 'box_labels' in example:
        counts['objects'] = _tally(example['box_labels'][example['box_labels'] >= 0])
    if 'segmentation' in example:
        found = example['segmentation']
        counts['pixels'] = _tally(found[found != IGNORE])
    return counts


def _tally(values: np.ndarray) -> dict[int, int]:
    numbers, counts = np.unique(values, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
