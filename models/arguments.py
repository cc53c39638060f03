"""Refuses a wrong argument in one line that says what would be right."""

import difflib
import functools
import inspect
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def parameters_of(make: Callable) -> dict[str, Any]:
    """What a class, function or partial takes by name, and what it has unsaid."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = [one for one in _signature(make) if one.kind in named]
    return {one.name: one.default for one in taken} | called_by(make)[1]


def called_by(make: Callable) -> tuple[Callable, Mapping[str, Any]]:
    """The class or function of a partial, and the arguments that it holds by name."""
    if isinstance(make, functools.partial):
        return make.func, make.keywords
    return make, {}


def check_taken(owner: str, make: Callable, given: Iterable[str], beside) -> None:
    """Raises a ValueError for a name that `make` does not take, with the nearest ones.

    Args:
      owner: for the message.
      make: what is called with them.
      given: names of arguments.
      beside: names that may have been meant as well.
    """
    taken = [name for name in parameters_of(make) if name != 'rngs']  # no user's
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in _signature(make)):
        return
    for name in given:
        if name not in taken:
            raise _unknown(f'argument of {owner}', name, [*taken, *beside])


def check_name(kind: str, name: str, known: Iterable[str], where: str = '') -> str:
    """The name as it is known; capitals, '_' and '-' do not matter.

    Args:
      kind: for the message, such as 'model'.
      name: as it was given.
      known: all the names that there are.
      where: one finds them, for the message.

    Raises:
      ValueError: for a name that is not known, with the nearest ones.
    """
    alike = [one for one in known if _bare(one) == _bare(name)]
    if name not in known and len(alike) != 1:
        raise _unknown(kind, name, known, where)
    return name if name in known else alike[0]


def _signature(make: Callable) -> Iterable[inspect.Parameter]:
    """Without `self`; NNX's metaclass hides what a class takes, its `__init__` not."""
    made, _ = called_by(make)
    if inspect.isclass(made):
        return [*inspect.signature(made.__init__).parameters.values()][1:]
    return inspect.signature(made).parameters.values()


def _unknown(kind: str, name: str, known: Iterable[str], where: str = '') -> ValueError:
    near = ', '.join(difflib.get_close_matches(name, known, cutoff=0.0))
    return ValueError(f'No {kind} is called {name!r}; nearest: {near}{where}.')


def _bare(name: str) -> str:
    return name.lower().replace('_', '').replace('-', '')


def check_choice(owner: str, name: str, value, choices) -> None:
    """Raises a ValueError that lists the choices where the value is none of them."""
    if value not in choices:
        *others, last = map(repr, choices)
        listed = f'{", ".join(others)} or {last}'
        raise ValueError(f'{owner} has no {name} {value!r}; choose {listed}.')


def check_at_least_one(owner: str, **values: int) -> None:
    """Raises a ValueError for the first value that is no whole number from 1 on."""
    for name, value in values.items():
        if isinstance(value, tuple):
            raise ValueError(
                f'{owner} needs {name} to be one number; got {value}: what asks for '
                f'several needs a head that takes them, such as KeypointRCNN.'
            )
        if not isinstance(value, numbers.Integral):
            raise ValueError(f'{owner} needs {name} to be whole; got {value}.')
        if value < 1:
            raise ValueError(f'{owner} needs {name} of at least 1; got {value}.')


def check_rate(owner: str, **values: float) -> None:
    """Raises a ValueError for the first value that is no share in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f'{owner} needs {name} in [0, 1); got {value}.')
