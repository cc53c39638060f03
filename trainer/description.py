"""An experiment as one flat dictionary: every value by its path, defaults included.

Works on partials, dataclasses and plain values, whoever made them; knows no gin file.
"""

import dataclasses
import functools
import inspect
from collections.abc import Iterator

from trainer.lint import names
from trainer.lint.usage import filled_in

PLAIN = (bool, int, float, str, type(None))


def describe(experiment) -> dict[str, object]:
    """{'name': 'resnet18', 'model': '@Net', 'model.backbone.depth': 18, ...}.

    Every key is a path of names, in the order of the signatures; every value is one
    of JSON's. A function, class or object is '@' and its name, its arguments follow;
    what only the run fills in (`rngs`, `total_steps`, ...) is left out. Equal
    experiments have equal descriptions, read from gin or built in Python.
    """
    found = {}
    for field in dataclasses.fields(experiment):
        if field.compare:
            found |= described(field.name, getattr(experiment, field.name))
    return found


def described(path: str, value: object) -> dict[str, object]:
    if isinstance(value, PLAIN):
        return {path: value}
    if isinstance(value, dict):
        return _parts(path, value.items(), None if value else {})
    if isinstance(value, list | tuple):
        if all(isinstance(item, PLAIN) for item in value):
            return {path: list(value)}
        return _parts(path, enumerate(value))
    title = f'@{_title(value)}'
    return _parts(path, _arguments(value), title)


def _parts(path: str, parts, title: object = None) -> dict[str, object]:
    found = {} if title is None else {path: title}
    for name, part in parts:
        found |= described(f'{path}.{name}', part)
    return found


def _title(value: object) -> str:
    """The name of a function or class, or of an object's class."""
    named = value.func if isinstance(value, functools.partial) else value
    return getattr(named, '__name__', None) or type(named).__name__


def _arguments(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, functools.partial):
        return _call_arguments(value.func, value.args, value.keywords)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if f.init]
        return ((field.name, getattr(value, field.name)) for field in fields)
    if names.full_name(value) or isinstance(value, type):
        return _call_arguments(value, (), {})
    return iter(())


def _call_arguments(function, args, keywords) -> Iterator[tuple[str, object]]:
    """What a call would be given, as far as it is known now."""
    if isinstance(function, functools.partial):
        keywords = {**function.keywords, **keywords}
        return _call_arguments(function.func, (*function.args, *args), keywords)
    parameters = names.signature_of(function).parameters
    full = names.full_name(function) or ''
    given = {**dict(zip(parameters, args, strict=False)), **keywords}
    for name, parameter in parameters.items():
        value = given.get(name, parameter.default)
        known = name in given or not filled_in(full, parameter)
        if value is not inspect.Parameter.empty and known:
            yield name, value
    yield from ((name, given[name]) for name in given if name not in parameters)
