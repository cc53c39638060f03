"""Split expressions, as TFDS writes them, for sources that are not TFDS's.

'train', 'train[:90%]', 'train[10:-20]', 'train[:5%]+test', 'all'; knows row numbers
only. A percentage is rounded to the closest row, so parts that meet never overlap.
"""

import re
from collections.abc import Mapping

import numpy as np

from trainer.errors import UserError

ALIASES = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation', 'dev'),
    'test': ('test', 'testing'),
}
PART = re.compile(r'(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?')


def canonical(name: str) -> str | None:
    """'val' of 'Validation'; None of what is no usual name of a split."""
    for split, names in ALIASES.items():
        if name.lower() in names:
            return split
    return None


def cut(source: str, expression: str, splits: Mapping[str, np.ndarray]) -> np.ndarray:
    """The rows of a split expression, int64 [N], in order.

    Args:
      source: its name, for messages.
      expression: such as 'train[:90%]'.
      splits: the rows of each split by its name.

    Raises:
      UserError: no split expression, no such split, or no row in it.
    """
    parts = [part.strip() for part in expression.split('+')]
    rows = np.concatenate([_part(source, part, splits) for part in parts])
    if not len(rows):
        sizes = ', '.join(f'{name} has {len(ids)}' for name, ids in splits.items())
        raise UserError(
            f'{source}: the split {expression!r} holds no example; {sizes}.'
        )
    return rows.astype(np.int64)


def _part(source, part, splits):
    match = PART.fullmatch(part)
    name = match and _find(match[1], splits)
    if not name:
        known = ', '.join(splits)
        raise UserError(
            f"{source} has no split {part!r}; its splits are {known}, 'all', and parts "
            f"of them as in '{next(iter(splits))}[:90%]'."
        )
    rows = np.concatenate(list(splits.values())) if name == 'all' else splits[name]
    return rows[_bound(match[2], len(rows)) : _bound(match[3], len(rows))]


def _find(name, splits):
    """The split that a name means; a set with no 'test' is tested on its 'val'."""
    if name in splits or name == 'all':
        return name
    name = canonical(name)
    if name == 'test' and 'test' not in splits:
        name = 'val'
    return name if name in splits else None


def _bound(text, size):
    if text is None or not text.endswith('%'):
        return text and int(text)
    return round(int(text[:-1]) * size / 100)
