"""Annotations and values in words for a message; decides nothing."""

import ast
import collections.abc
import inspect
import types
import typing
from typing import Annotated, Any, Literal, Union

from trainer.lint import names
from trainer.lint.bounds import bounds
from trainer.lint.nearest import nearest

WORDS = {
    int: 'an integer',
    float: 'a number',
    str: 'a string',
    bool: 'True or False',
    type(None): 'None',
    None: 'None',
    dict: 'a dict',
    collections.abc.Mapping: 'a dict',
    type: 'a class',
    Any: 'anything',
}
LISTS = (collections.abc.Sequence, collections.abc.Iterable, list)


def expectation(annotation: Any) -> str:
    """'an integer >= 1', "one of 'imagenet', 'small'", 'a list of numbers or None'."""
    origin, members = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        limits = [f'{sign} {limit}' for sign, limit in bounds(members[1:])]
        return f'{expectation(members[0])} {" and ".join(limits)}'.strip()
    if origin is Literal:
        choices = ', '.join(map(repr, members))
        return choices if len(members) == 1 else f'one of {choices}'
    if origin in (Union, types.UnionType):
        return ' or '.join(dict.fromkeys(map(expectation, members)))
    if (origin or annotation) is tuple:
        return _tuple(members)
    if (origin or annotation) in LISTS:
        return f'a list (each: {expectation(members[0])})' if members else 'a list'
    return WORDS.get(origin or annotation) or _made(annotation, members)


def _tuple(members: tuple) -> str:
    if members[1:] == (...,):
        return f'a tuple (each: {expectation(members[0])})'
    return f'a tuple ({", ".join(map(expectation, members))})' if members else 'a tuple'


def _made(annotation: Any, members: tuple) -> str:
    if typing.get_origin(annotation) is collections.abc.Callable or (
        annotation in (collections.abc.Callable, typing.Callable)
    ):
        made = members[1:] and inspect.isclass(members[1])
        what = f' that makes a {members[1].__name__}' if made else ''
        return f'a reference such as @Name{what}'
    name = getattr(annotation, '__name__', str(annotation))
    return f'an evaluated reference such as @{[*names.of_kind(annotation), name][0]}()'


def similar(value: str, annotation: Any) -> str | None:
    """ "'small'" where a string is nearly one of the choices, else None."""
    close = nearest(value, [c for c in _choices(annotation) if isinstance(c, str)])
    return close and repr(close)


def as_literal(value: str) -> object:
    """What a string would be without its quotes: 'true' is True, '5' is 5."""
    try:
        return ast.literal_eval(value.capitalize() if value.isalpha() else value)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return value


def _choices(annotation: Any):
    for member in typing.get_args(annotation):
        if typing.get_origin(annotation) is Literal:
            yield member
        elif typing.get_origin(member):
            yield from _choices(member)
