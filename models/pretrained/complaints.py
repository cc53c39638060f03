"""All that is wrong with a set of tensors in one line, with nothing left out.

Names that are alike share a place: `layer{1,2}.{0..5}.bn1.{weight,bias}`.
"""

import re
from collections.abc import Iterable, Sequence

PARTS = re.compile(r'(\d+|[./])')


def in_one_line(what: str, complaints: Sequence[str]) -> str:
    """'What; 3 of them differ: layer{1,2}.bn1.weight (64,) is missing; ...'

    Args:
      what: is wrong.
      complaints: each a name, a space, and what is wrong with it.
    """
    same = {}
    for complaint in complaints:
        name, _, wrong = complaint.partition(' ')
        same.setdefault(wrong, []).append(name)
    said = (f'{", ".join(folded(names))} {wrong}' for wrong, names in same.items())
    return f'{what}; {len(complaints)} of them differ: {"; ".join(said)}.'


def folded(names: Iterable[str]) -> list[str]:
    """The names, those written as one that differ in a single part: 'bn{1,2}.bias'.

    Written out, as a shell does with braces, they are the same names again.
    """
    found = [tuple(PARTS.split(name)) for name in names]
    for place in reversed(range(max(map(len, found), default=0))):
        found = list(_merged(found, place))
    return [''.join(parts) for parts in found]


def _merged(found: Iterable[tuple[str, ...]], place: int):
    """Names in parts, those joined that are alike but for the part at `place`."""
    alike = {}
    for parts in found:
        key = len(parts), parts[:place], parts[place + 1 :]
        alike.setdefault(key, []).extend(parts[place : place + 1])
    for (_, before, after), values in alike.items():
        yield *before, _as_one(values), *after


def _as_one(values: Sequence[str]) -> str:
    if len(values) < 2:
        return ''.join(values)
    if len(values) > 2 and all(map(str.isdecimal, values)):
        first, last = int(values[0]), int(values[-1])
        if list(map(str, range(first, last + 1))) == list(values):
            return f'{{{first}..{last}}}'
    return f'{{{",".join(values)}}}'
