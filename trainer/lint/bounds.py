"""What annotated_types allow: bounds as signs and numbers; knows no annotation."""

import operator
from collections.abc import Iterable, Sequence

import annotated_types

Bound = tuple[str, object]
SIGNS = {
    '>=': operator.ge,
    '>': operator.gt,
    '<=': operator.le,
    '<': operator.lt,
    'a multiple of': lambda value, unit: value % unit == 0,
    'of at least items:': lambda value, count: len(value) >= count,
    'of at most items:': lambda value, count: len(value) <= count,
}
KINDS = (
    (annotated_types.Ge, 'ge', '>='),
    (annotated_types.Gt, 'gt', '>'),
    (annotated_types.Le, 'le', '<='),
    (annotated_types.Lt, 'lt', '<'),
    (annotated_types.MultipleOf, 'multiple_of', 'a multiple of'),
    (annotated_types.MinLen, 'min_length', 'of at least items:'),
    (annotated_types.MaxLen, 'max_length', 'of at most items:'),
)


def bounds(metadata: Iterable[object]) -> list[Bound]:
    """[('>=', 0), ('<', 1)] of Annotated's metadata; what is no bound is left out."""
    found = []
    for item in metadata:
        if isinstance(item, annotated_types.GroupedMetadata):
            found += bounds(item)
        found += [(sign, getattr(item, a)) for k, a, sign in KINDS if type(item) is k]
    return found


def outside(value: object, limits: Sequence[Bound]) -> bool:
    """Whether a value breaks any of the bounds; what cannot be compared breaks none."""
    try:
        return not all(SIGNS[sign](value, limit) for sign, limit in limits)
    except TypeError:
        return False
