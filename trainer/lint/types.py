"""Whether a gin value fits an annotation, and what would; knows no config.

Reads `Annotated` with annotated_types, Literal, unions, Sequence, tuple, dict, Callable
and classes; accepts whatever an annotation that it does not know is given.
"""

import collections.abc
import inspect
import math
import types
import typing
from typing import Annotated, Any, Literal, Union

from trainer.lint import names
from trainer.lint.bounds import bounds, outside
from trainer.lint.statements import Reference, Unreadable, shown
from trainer.lint.wording import as_literal, expectation, similar

NUMBERS = {int: int, float: (int, float), complex: (int, float, complex)}
PLAIN = (int, float, complex, str, bool, bytes, type(None))
SEQUENCES = (collections.abc.Sequence, collections.abc.Iterable, list, tuple)
MAPPINGS = (collections.abc.Mapping, dict)
DID_YOU_MEAN = '; did you mean'


def misfit(value: object, annotation: Any) -> str | None:
    """Why a value does not fit, as 'is not an integer >= 1; ...', or None if it does.

    Args:
      value: a literal, a Reference, or a container of them, with macros filled in.
      annotation: of the parameter.
    """
    origin = typing.get_origin(annotation)
    if isinstance(value, Unreadable) or annotation in (Any, inspect.Parameter.empty):
        return None
    if origin is Annotated:
        return _annotated(value, annotation)
    if origin in (Union, types.UnionType):
        return _union(value, annotation)
    if origin is Literal:
        return _literal(value, annotation)
    if isinstance(value, Reference):
        return _reference(value, annotation)
    return _plain(value, annotation, origin or annotation)


def _plain(value: object, annotation: Any, kind: Any) -> str | None:
    if kind in PLAIN or annotation is None:
        return None if _is_plain(value, kind) else _no(value, annotation)
    if kind in SEQUENCES:
        return _sequence(value, annotation)
    if kind in MAPPINGS:
        return _mapping(value, annotation)
    if kind is collections.abc.Callable:
        return _no(value, annotation)
    if inspect.isclass(kind):
        return None if _is_instance(value, kind) else _no(value, annotation)
    return None


def _is_plain(value: object, kind: Any) -> bool:
    if kind in (None, type(None)):
        return value is None
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if kind in NUMBERS:
        return isinstance(value, NUMBERS[kind]) and not isinstance(value, bool)
    return isinstance(value, kind)


def _annotated(value: object, annotation: Any) -> str | None:
    inner, *metadata = typing.get_args(annotation)
    found = misfit(value, inner)
    if found and not typing.get_origin(inner):
        return _no(value, annotation)
    if found or isinstance(value, Reference):
        return found
    return _no(value, annotation) if outside(value, bounds(metadata)) else None


def _union(value: object, annotation: Any) -> str | None:
    messages = [misfit(value, member) for member in typing.get_args(annotation)]
    if None in messages:
        return None
    # The member of the value's own kind says best what is wrong inside of it.
    telling = [m for m in messages if m.startswith('at [') or DID_YOU_MEAN in m]
    return (
        telling[0] if telling and not isinstance(value, str) else _no(value, annotation)
    )


def _literal(value: object, annotation: Any) -> str | None:
    if isinstance(value, Reference):
        return _no(value, annotation) if not value.evaluate else None
    choices = typing.get_args(annotation)
    fits = any(type(c) is type(value) and c == value for c in choices)
    return None if fits else _no(value, annotation)


def _sequence(value: object, annotation: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return _no(value, annotation)
    members = typing.get_args(annotation)
    if (typing.get_origin(annotation) is tuple) and members[1:] != (...,):
        if members and len(members) != len(value):
            return _no(value, annotation)
    else:
        members = members[:1] * len(value)
    return _first_inside(zip(range(len(value)), value, members, strict=False))


def _mapping(value: object, annotation: Any) -> str | None:
    if not isinstance(value, dict):
        return _no(value, annotation)
    members = typing.get_args(annotation)
    if len(members) != 2:
        return None
    found = _first_inside((shown(k), k, members[0]) for k in value)
    return found or _first_inside((shown(k), v, members[1]) for k, v in value.items())


def _first_inside(items) -> str | None:
    for where, value, member in items:
        found = misfit(value, member)
        if found:
            return f'at [{where}]: {shown(value)} {found}'
    return None


def _reference(value: Reference, annotation: Any) -> str | None:
    kind = typing.get_origin(annotation) or annotation
    (full,) = names.matching(value.name)
    made = names.signature(full).returns
    made = None if made is Any else made  # Any is a class, but says nothing
    if kind is collections.abc.Callable:
        return _callable(value, full, made, annotation)
    if kind is type:
        return None
    if not value.evaluate:
        evaluated = f'{value}()'
        fits = misfit(Reference(value.scopes, value.name, True), annotation) is None
        advice = f"{DID_YOU_MEAN} '{evaluated}'?" if fits else ''
        return f'is not {expectation(annotation)}{advice}'
    made = typing.get_origin(made) or made
    if not (inspect.isclass(made) and inspect.isclass(kind)) or made is kind:
        return None
    fits = names.is_subclass(made, NUMBERS.get(kind, kind))
    return None if fits else f'is not {expectation(annotation)}'


def _callable(value: Reference, full: str, made: Any, annotation: Any) -> str | None:
    """A reference is what can be called later; an evaluated one must itself be so."""
    if not inspect.isclass(made):
        return None
    instances_called = any('__call__' in vars(cls) for cls in made.__mro__)
    if value.evaluate:
        fix = f"{DID_YOU_MEAN} '{str(value).removesuffix('()')}'?"
        return None if instances_called else f'is not {expectation(annotation)}{fix}'
    wanted = typing.get_args(annotation)[1:]
    if wanted and inspect.isclass(wanted[0]) and wanted[0] is not type(None):
        ok = names.is_subclass(made, wanted[0])
        return None if ok else f'is not {expectation(annotation)}'
    # A dataclass whose objects are called is a description, such as PadCrop(pad=1).
    described = names.target(full)
    if instances_called and hasattr(described, '__dataclass_fields__'):
        return f"is a class whose objects are called{DID_YOU_MEAN} '{value}()'?"
    return None


def _no(value: object, annotation: Any) -> str:
    """What was expected, and what a string was probably meant to be."""
    meant = _meant(value, annotation) if isinstance(value, str) else None
    advice = f'{DID_YOU_MEAN} {meant}?' if meant else ''
    return f'is not {expectation(annotation)}{advice}'


def _meant(value: str, annotation: Any) -> str | None:
    """What a string should have been: a literal, a reference, one of the choices."""
    literal = as_literal(value)
    if literal is not value and misfit(literal, annotation) is None:
        return repr(literal)
    if len(names.matching(value)) == 1:
        for reference in (Reference((), value, False), Reference((), value, True)):
            if misfit(reference, annotation) is None:
                return f"'{reference}'"
    return similar(value, annotation)


def _is_instance(value: object, kind: Any) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:
        return False
