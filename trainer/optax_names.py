"""Any optimizer of Optax by its name there; knows which of them a plain step serves."""

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, Literal

import gin
import optax
import optax.contrib

from trainer.errors import UserError
from trainer.gradients import Clip, clipped, decayed

# What Optax offers and a plain step of gradient, state and parameters cannot serve:
# it wants the value of the loss, gradients for each example or a key, evaluates at
# other parameters than it trains, or takes no schedule.
UNSUITABLE = frozenset(
    (
        'dpsgd',
        'lbfgs',
        'momo',
        'momo_adam',
        'noisy_sgd',
        'optimistic_adam',
        'rprop',
        'schedule_free_adamw',
        'schedule_free_sgd',
        'sm3',
        'sophia',
    )
)


@functools.cache
def offered_by_optax() -> Mapping[str, Callable]:
    """The optimizers that can be named: those whose first argument is a schedule."""
    offered = {}
    for module in (optax.contrib, optax):
        for name, function in vars(module).items():
            if not name.startswith(('_', 'scale_by_')) and _takes_schedule(function):
                offered[name] = function
    names = sorted(offered.keys() - UNSUITABLE)
    return MappingProxyType({name: offered[name] for name in names})


def _takes_schedule(function: Any) -> bool:
    if not isinstance(function, FunctionType | functools.partial):
        return False
    return next(iter(inspect.signature(function).parameters), '') == 'learning_rate'


@gin.register
def optax_optimizer(
    learning_rate: optax.Schedule,
    *,
    name: Literal[*offered_by_optax()],
    arguments: dict[str, Any] | None = None,
    clip_norm: Clip = None,
) -> optax.GradientTransformation:
    """Any optimizer of `optax` or `optax.contrib` by its name there.

    Where it takes a mask for its weight decay and none is given, kernels alone decay.

    Args:
      learning_rate: from step to learning rate.
      name: such as 'nadamw', 'adan' or 'adafactor'.
      arguments: its keyword arguments, such as {'weight_decay': 1e-2}.
      clip_norm: longest global norm of the gradients.

    Raises:
      UserError: no such optimizer, or no such argument.
    """
    offered = offered_by_optax()
    _check_name('optax_optimizer.name', name, offered)
    accepted = list(inspect.signature(offered[name]).parameters)[1:]
    given = dict(arguments or {})
    for argument in given:
        _check_name(f'optax_optimizer.arguments of {name}:', argument, accepted)
    masks = {'mask', 'weight_decay_mask'} & set(accepted)
    given = {mask: decayed for mask in masks} | given
    return clipped(offered[name](learning_rate, **given), clip_norm)


def _check_name(place: str, name: str, choices: Collection[str]) -> None:
    """Refuses a name that is none of the choices, with the nearest one."""
    if name in choices:
        return
    nearest = difflib.get_close_matches(name.lower(), choices, n=1)
    hint = f' did you mean {nearest[0]!r}?' if nearest else ''
    raise UserError(f'{place} {name!r} is unknown;{hint} choose {", ".join(choices)}.')
