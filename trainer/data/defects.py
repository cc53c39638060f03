"""What is wrong or odd among the entries of an inventory; reads no file.

Knows entries by role ('train', 'eval', 'test', ...), and nothing of who is told.
"""

import collections
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data.inventory import Entry

NARROW = 4  # sides that differ by more
FAR = 10  # areas that differ by more from the usual one

Roles = Mapping[str, Sequence[Entry]]


def unreadable(roles: Roles) -> list[dict]:
    """{'split', 'line'} of each example that cannot be used."""
    return [
        {'split': role, 'line': entry.problem}
        for role, entries in roles.items()
        for entry in entries
        if entry.problem
    ]


def odd(roles: Roles, side: int | None) -> list[dict]:
    """{'split', 'name', 'path', 'traits', 'width', 'height'} of unusual pictures.

    Args:
      roles: entries.
      side: pixels to which pictures are brought; None where they are not.
    """
    sized = [entry for part in roles.values() for entry in part if entry.width]
    usual = float(np.median([e.width * e.height for e in sized])) if sized else 0.0
    if side and 2 * sum(_short(entry) < side for entry in sized) > len(sized):
        side = None  # what most are is not odd
    described = ('name', 'path', 'width', 'height')
    return [
        {'split': role, 'traits': traits}
        | {field: getattr(entry, field) for field in described}
        for role, entries in roles.items()
        for entry in entries
        if (traits := [*entry.traits, *_odd_sizes(entry, side, usual)])
    ]


def duplicates(roles: Roles) -> list[dict]:
    """Examples of the same content, those across splits or classes first.

    Returns:
      {'across_splits', 'across_classes', 'examples': [{'split', 'name', 'path'}]}.
    """
    groups = collections.defaultdict(list)
    for role, entries in roles.items():
        for entry in entries:
            if entry.content:
                groups[entry.content].append((role, entry))
    found = [_group(members) for members in groups.values() if len(members) > 1]
    return sorted(found, key=lambda g: -g['across_splits'] - g['across_classes'])


def absent(counts: Mapping[int, int], names: Sequence[str]) -> list[str]:
    """The classes that have nothing."""
    return [name for number, name in enumerate(names) if not counts.get(number)]


def imbalance(counts: Mapping[int, int]) -> float | None:
    """How often the commonest class is there for each time the rarest is."""
    there = [count for count in counts.values() if count]
    return max(there) / min(there) if there else None


def _odd_sizes(entry: Entry, side: int | None, usual: float) -> list[str]:
    short, long = _short(entry), max(entry.width, entry.height)
    if not short:
        return []
    said = {
        f'smaller than {side} pixels': side is not None and short < side,
        'long and narrow': long > NARROW * short,
        'far larger than the others': short * long > FAR * usual,
        'far smaller than the others': short * long * FAR < usual,
    }
    return [words for words, true in said.items() if true]


def _short(entry: Entry) -> int:
    return min(entry.width, entry.height)


def _group(members) -> dict:
    classes = {_classes(entry) for _, entry in members}
    return {
        'across_splits': len({role for role, _ in members}) > 1,
        'across_classes': len(classes) > 1,
        'examples': [
            {'split': role, 'name': entry.name, 'path': entry.path}
            for role, entry in members
        ],
    }


def _classes(entry: Entry) -> tuple:
    """The classes that an example is said to be of."""
    counts = entry.counts
    return tuple(counts.get('examples', ())), tuple(counts.get('labels', ()))
