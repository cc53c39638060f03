"""Gin text for an experiment that was made, or changed, in Python.

Promises text that builds an equal experiment, or none; knows nothing of training.
"""

import dataclasses
import functools
import pathlib
import tempfile
from collections import Counter

from trainer.description import PLAIN, describe
from trainer.errors import UserError
from trainer.experiment import Experiment, load
from trainer.lint import names

ORIGIN = 'Python'
OURS = ('trainer', 'models')  # packages that every config knows


class Unwritable(Exception):
    """A value that no config can name."""


def replayable(experiment: Experiment) -> Experiment:
    """The experiment, with a source that tells of it as it is.

    What `load` gave stays as it is. What was made in Python, or changed since with
    `dataclasses.replace`, gets text of its own if all its parts are registered with gin
    and importable; else it has no source.
    """
    config = describe(experiment)
    if experiment.source is not None and experiment.source.config == config:
        return experiment
    try:
        source = _read_back(as_gin(experiment), config)
    except (Unwritable, UserError, ValueError):  # ValueError: arrays compared
        source = None
    return dataclasses.replace(experiment, source=source)


def as_gin(experiment: Experiment) -> str:
    """Gin text; what is there more than once has a scope of its own each time.

    Raises:
      Unwritable: a part is not registered, or of a module that cannot be imported.
    """
    fields = [field for field in dataclasses.fields(experiment) if field.compare]
    said = {field.name: getattr(experiment, field.name) for field in fields}
    changed = [field.name for field in fields if said[field.name] != _default(field)]
    times: Counter[str] = Counter()
    for _ in ('counted', 'written'):
        writer = _Writer(times)
        for name in changed:
            writer.bind('Experiment', name, said[name], name)
        times = writer.times
    imports = [f'import {module}' for module in sorted(writer.modules)]
    return '\n'.join([*imports, *writer.lines]) + '\n'


def _read_back(text, config):
    """The source of a text; None where it builds something else."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'config.gin'
        path.write_text(text, encoding='utf-8')
        again = load([str(path)])
    if describe(again) != config:
        return None
    origins = dict.fromkeys(again.source.origins, ORIGIN)
    return dataclasses.replace(again.source, origins=origins)


class _Writer:
    """Bindings, a line each, and the modules that they need.

    Args:
      expected: how often each name will be written.
    """

    def __init__(self, expected: Counter):
        self.expected, self.times = expected, Counter()
        self.lines: list[str] = []
        self.modules: set[str] = set()

    def bind(self, owner: str, parameter: str, value: object, scope: str) -> None:
        self.lines.append(f'{owner}.{parameter} = {self.text(value, scope)}')

    def text(self, value: object, scope: str) -> str:
        """A value as gin reads it; what it is made of gets lines of its own."""
        if isinstance(value, PLAIN):
            return repr(value)
        if isinstance(value, dict):
            pairs = enumerate(value.items())
            parts = [f'{k!r}: {self.text(v, f"{scope}_{i}")}' for i, (k, v) in pairs]
            return f'{{{", ".join(parts)}}}'
        if isinstance(value, list | tuple):
            parts = [self.text(v, f'{scope}_{i}') for i, v in enumerate(value)]
            if isinstance(value, list):
                return f'[{", ".join(parts)}]'
            return f'({"".join(f"{part}, " for part in parts)})'
        return self.reference(value, scope)

    def reference(self, value: object, scope: str) -> str:
        """'@scope/Name' of a callable, '@scope/Name()' of an object."""
        function, arguments, evaluated = _call(value)
        full = names.full_name(function)
        module = getattr(function, '__module__', '__main__')
        if full is None or module == '__main__':
            raise Unwritable(repr(value))
        if module.partition('.')[0] not in OURS:
            self.modules.add(module)
        name = names.short_name(full)
        self.times[name] += 1
        key = name if self.expected[name] == 1 else f'{scope}/{name}'
        for parameter, inner in arguments.items():
            self.bind(key, parameter, inner, f'{scope}_{parameter}')
        return f'@{key}' + '()' * evaluated


def _call(value):
    """(function, its arguments, whether it has been called) of a partial or object."""
    if isinstance(value, functools.partial):
        parameters = names.signature_of(value.func).parameters
        given = dict(zip(parameters, value.args, strict=False))
        return value.func, {**given, **value.keywords}, False
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field for field in dataclasses.fields(value) if field.init]
        said = {f.name: getattr(value, f.name) for f in fields}
        changed = {f.name for f in fields if said[f.name] != _default(f)}
        return type(value), {k: v for k, v in said.items() if k in changed}, True
    return value, {}, False


def _default(field: dataclasses.Field) -> object:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()
