"""What gin has registered: names, and the parameters behind them; knows no config."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import gin

# Gin has no public list of what is registered; this is the one place that reads it.
_registry = gin.config._REGISTRY
_BUILT_IN = ('gin.macro', 'gin.constant', 'gin.singleton')
ROOT = 'trainer.experiment.Experiment'


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of something registered; `required` where it has no default."""

    name: str
    annotation: Any = Any
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def annotated(self) -> bool:
        return self.annotation is not Any


@dataclasses.dataclass(frozen=True)
class Signature:
    """The parameters a config may bind; `open_ended` where there is a `**kwargs`."""

    parameters: dict[str, Parameter]
    open_ended: bool
    returns: Any


def matching(name: str) -> list[str]:
    """Full names ('models.net.Net') that a name ('Net') may stand for."""
    return [s for s in _registry.matching_selectors(name) if s not in _BUILT_IN]


def target(full_name: str) -> Callable:
    """The class or function that is registered under a full name, undecorated."""
    return _registry[full_name].wrapped


def full_name(function: Any) -> str | None:
    """The full name under which a class or function is registered, or None."""
    try:
        found = gin.config._INVERSE_REGISTRY.get(function)
    except TypeError:
        return None
    return found.selector if found else None


def short_name(full: str) -> str:
    """The shortest name that means the same: 'Net', or 'net.Net' where two are."""
    return _registry.minimal_selector(full)


def known() -> list[str]:
    """All short names, in order."""
    return sorted(map(short_name, _full_names()))


def having(parameter: str) -> list[str]:
    """'Images.batch' and its like: where there is a parameter of this name."""
    having = [f for f in _full_names() if parameter in signature(f).parameters]
    return sorted(f'{short_name(full)}.{parameter}' for full in having)


def of_kind(kind: Any) -> list[str]:
    """Short names of the registered classes that are of a kind, in order."""
    classes = [full for full in _full_names() if inspect.isclass(target(full))]
    fitting = [full for full in classes if is_subclass(target(full), kind)]
    return sorted(map(short_name, fitting))


def is_subclass(made: type, kind: Any) -> bool:
    """issubclass, or True where Python cannot say (a protocol, a generic)."""
    try:
        return issubclass(made, kind)
    except TypeError:
        return True


def _full_names() -> list[str]:
    return [full for full, _ in _registry.items() if full not in _BUILT_IN]


def is_constant(macro: str) -> bool:
    """Whether `%macro` is a constant that some module has made with `gin.constant`."""
    return bool(gin.config._CONSTANTS.matching_selectors(macro))


def constant(macro: str) -> Any:
    """The value of a constant."""
    (name,) = gin.config._CONSTANTS.matching_selectors(macro)
    return gin.config._CONSTANTS[name]


def signature(full: str) -> Signature:
    """The signature of what is registered, less what its registration denies."""
    denied = _registry[full].denylist or ()
    allowed = _registry[full].allowlist
    found = signature_of(target(full))
    parameters = {
        name: parameter
        for name, parameter in found.parameters.items()
        if name not in denied and (not allowed or name in allowed)
    }
    return dataclasses.replace(found, parameters=parameters)


@functools.cache
def signature_of(function: Callable) -> Signature:
    """The signature of a class's constructor (without self) or of a function."""
    made = _constructor(function) if inspect.isclass(function) else function
    try:
        parameters = list(inspect.signature(made).parameters.values())
    except (TypeError, ValueError):
        return Signature({}, open_ended=True, returns=Any)
    hints = _hints(made)
    kept = parameters[1:] if inspect.isclass(function) else parameters
    return Signature(
        {
            p.name: Parameter(p.name, hints.get(p.name, Any), _default(function, p))
            for p in kept
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        },
        open_ended=any(p.kind is p.VAR_KEYWORD for p in kept),
        returns=function if inspect.isclass(function) else hints.get('return', Any),
    )


def _constructor(cls: type) -> Callable:
    # inspect.signature(cls) would look at the metaclass, as NNX modules have one.
    return cls.__new__ if cls.__init__ is object.__init__ else cls.__init__


def _hints(function: Callable) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:
        raw = getattr(function, '__annotations__', {})
        return {k: v for k, v in raw.items() if not isinstance(v, str)}


def _default(function: Callable, parameter: inspect.Parameter) -> Any:
    """The default, made where a dataclass makes it anew for each object."""
    for field in getattr(function, '__dataclass_fields__', {}).values():
        made = field.default_factory is not dataclasses.MISSING
        if field.name == parameter.name and made:
            return field.default_factory()
    return parameter.default
