"""From bindings to plain Python: partials, objects and values, with gin out of sight.

Follows references in the scopes in which gin would call them (where what they were
handed to calls them). Takes a config that has been checked; knows nothing of training.
"""

import dataclasses
import functools
from collections.abc import Callable

from trainer.errors import UserError
from trainer.lint import names
from trainer.lint.config import Config, Scope
from trainer.lint.finding import COMMAND_LINE, Place, one_line
from trainer.lint.statements import Binding, Macro, Reference


@dataclasses.dataclass(frozen=True)
class Resolved:
    """What an Experiment is made of.

    Attributes:
      arguments: its keyword arguments: references are `functools.partial`s of the
        undecorated function or class, evaluated ones what they returned.
      origins: where each value was written, by its key in `describe`.
    """

    arguments: dict[str, object]
    origins: dict[str, str]


def resolve(config: Config, root: str = names.ROOT) -> Resolved:
    """Resolves the bindings of Experiment (or another root) and all they refer to.

    Raises:
      UserError: something refused its arguments, with file:line and its own words.
    """
    resolver = _Resolver(config)
    return Resolved(resolver.arguments(root, (), ''), resolver.origins)


def refusal(error: Exception, bound: dict[str, Binding], place: Place) -> UserError:
    """What something said when it was built, at the binding that it speaks of."""
    said = spoken_by(error)
    spoken = [b.place for name, b in bound.items() if name in said]
    kind = '' if isinstance(error, ValueError) else f'{type(error).__name__}: '
    return UserError(f'{spoken[0] if spoken else place}: {kind}{one_line(said)}')


def spoken_by(error: Exception) -> str:
    """What an error says without the line that gin adds of where it was raised."""
    return str(error).split('\n  In call to configurable')[0]


class _Resolver:
    def __init__(self, config: Config):
        self.config = config
        self.origins: dict[str, str] = {}

    def arguments(self, full: str, scope: Scope, path: str) -> dict[str, object]:
        """The keyword arguments of a call: what is bound, and registered defaults."""
        bound = self.config.bound(full, scope)
        found = {}
        for parameter in _in_order(full, bound):
            inner = f'{path}.{parameter}' if path else parameter
            if parameter in bound:
                binding = bound[parameter]
                self.origins[inner] = str(self.config.source(binding).place)
                found[parameter] = self._value(binding.value, scope, scope, inner)
                continue
            default = names.signature(full).parameters[parameter].default
            if names.full_name(default):
                found[parameter] = self._partial(names.full_name(default), scope, inner)
        return found

    def _value(self, value: object, within: Scope, caller: Scope, path: str) -> object:
        """A value in the scope in which it is read, for a caller in another."""
        if isinstance(value, Macro):
            return self._macro(value, caller, path)
        if isinstance(value, Reference):
            return self._reference(value, within, caller, path)
        if isinstance(value, dict):
            pairs = value.items()
            read = functools.partial(self._value, within=within, caller=caller)
            return {read(k, path=path): read(v, path=f'{path}.{k}') for k, v in pairs}
        if isinstance(value, list | tuple):
            return type(value)(
                self._item(item, within, caller, path, i)
                for i, item in enumerate(value)
            )
        return value

    def _item(self, item, within: Scope, caller: Scope, path: str, index: int):
        self.origins[f'{path}.{index}'] = self.origins.get(path, COMMAND_LINE)
        return self._value(item, within, caller, f'{path}.{index}')

    def _macro(self, macro: Macro, caller: Scope, path: str) -> object:
        binding = self.config.macro(macro.name)
        if binding is None:
            return names.constant(macro.name)
        return self._value(binding.value, tuple(macro.name.split('/')), caller, path)

    def _reference(
        self, reference: Reference, within: Scope, caller: Scope, path: str
    ) -> object:
        (full,) = names.matching(reference.name)
        if not reference.evaluate:
            return self._partial(full, reference.scopes or caller, path)
        scope = reference.scopes or within
        arguments = self.arguments(full, scope, path)
        try:
            return names.target(full)(**arguments)
        except Exception as error:
            place = Place(self.origins.get(path, COMMAND_LINE))
            raise refusal(error, self.config.bound(full, scope), place) from error

    def _partial(self, full: str, scope: Scope, path: str) -> Callable:
        return functools.partial(
            names.target(full), **self.arguments(full, scope, path)
        )


def _in_order(full: str, bound: dict[str, Binding]) -> list[str]:
    """A call's parameters as its signature has them, then what `**kwargs` takes."""
    return list(dict.fromkeys([*names.signature(full).parameters, *bound]))
