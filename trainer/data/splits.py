"""Split expressions, as TFDS writes them, for sources that are not TFDS's.

'train', 'train[:90%]', 'train[10:-20]', 'train[:5%]+test', 'all'; knows row numbers
only. A percentage is rounded to the closest row, so parts that meet never overlap.
"""

import re
from collections.abc import Collection, Mapping

import numpy as np

from trainer.errors import UserError

ALIASES = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation', 'dev'),
    'test': ('test', 'testing'),
}
PART = re.compile(r'(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?')
# TFDS's own, which knows shards and fractions of a percent as well.
_END = r'-?[\d_.]+(?:%|shard)?'
TFDS_PART = re.compile(rf'([\w-]+)(?:\[(?:({_END})?:({_END})?|-?\d+shard)\])?')
FORMS = "'train', 'train[:90%]', 'train[10:-20]' or 'train[:5%]+test'"


def canonical(name: str) -> str | None:
    """'val' of 'Validation'; None of what is no usual name of a split."""
    for split, names in ALIASES.items():
        if name.lower() in names:
            return split
    return None


def malformed(expression: str, part: re.Pattern = PART) -> str | None:
    """What is wrong with an expression whatever the data holds, or None.

    Args:
      expression: such as 'train[:90%]'.
      part: what each of its parts has to be: PART or TFDS_PART.
    """
    odd = _odd(expression, part)
    if odd is None:
        return None
    where = '' if odd == expression.strip() else f' at {odd!r}'
    mended = (f'{odd}]', odd.translate(str.maketrans('(){}', '[][]')))
    near = (expression.replace(odd, one) for one in mended if odd)
    meant = next((one for one in near if _odd(one, part) is None), None)
    advice = f'did you mean {meant!r}?' if meant else f'write {FORMS}'
    return f'is no split expression{where}; {advice}'


def _odd(expression: str, part: re.Pattern) -> str | None:
    """The first part that is none."""
    parts = (one.strip() for one in expression.split('+'))
    return next((one for one in parts if not part.fullmatch(one)), None)


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
        sizes = ', '.join(f'{s} has {size}' for s, size in sizes_of(splits).items())
        raise UserError(
            f'{source}: the split {expression!r} holds no example; {sizes}.'
        )
    return rows.astype(np.int64)


def sizes_of(splits: Mapping[str, np.ndarray]) -> dict[str, int]:
    """How many rows each split has."""
    return {name: len(rows) for name, rows in splits.items()}


def named(expression: str, splits: Collection[str]) -> set[str]:
    """The splits of which an expression takes anything.

    Args:
      expression: well formed, such as 'train[:90%]+test'.
      splits: the names of those that there are.
    """
    parts = filter(None, map(PART.fullmatch, map(str.strip, expression.split('+'))))
    found = {_find(part[1], splits) for part in parts}
    return set(splits) if 'all' in found else found & set(splits)


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
