"""Which parameters move, and how far: freezing, rate multipliers, averaged weights.

Works on flat dictionaries, `{'backbone/stem/conv/kernel': array}`, by regular
expressions that must match a whole name; knows no model and no optimizer by name.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated

import gin
import jax
import jax.numpy as jnp
import optax
from annotated_types import Gt, Interval

from trainer.errors import UserError

FREEZE = 'Experiment.freeze'


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Average:
    """An exponential moving average of the weights, which is what gets evaluated.

    Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992).

    Attributes:
      decay: what is kept of the average at each step.
      ramp: at step t keep no more than (1 + t) / (ramp + t), so that the initial
        weights are soon forgotten; 1 keeps `decay` from the first step on.
    """

    decay: Annotated[float, Interval(gt=0, lt=1)] = 0.999
    ramp: Annotated[float, Gt(0)] = 10.0

    def update(self, average: dict, value: dict, step: jax.Array) -> dict:
        """The average after a step: floats are averaged, integers taken as they are.

        What equals its average leaves it as it is, to the last bit. Sums are float32 or
        better.
        """
        decay = jnp.minimum(self.decay, (1.0 + step) / (self.ramp + step))

        def mix(old, new):
            if not jnp.issubdtype(new.dtype, jnp.floating):
                return new
            exact = jnp.promote_types(new.dtype, jnp.float32)
            start, end = old.astype(exact), new.astype(exact)
            mixed = start + (1 - decay) * (end - start)
            # Equal infinities, such as of a mask, have no difference.
            return jnp.where(old == new, new, mixed.astype(new.dtype))

        return jax.tree.map(mix, average, value)


def trained(names: Iterable[str], freeze: Sequence[str]) -> tuple[str, ...]:
    """The parameters that are not frozen.

    Args:
      names: of all parameters.
      freeze: regular expressions of those that stay as they are, to the last bit.

    Raises:
      UserError: an expression that is none or matches nothing, or nothing is left.
    """
    names = list(names)
    frozen = {n for pattern in freeze for n in matching(pattern, names, FREEZE)}
    if len(frozen) == len(names):
        raise UserError(
            f'Experiment.freeze = {list(freeze)} freezes all {len(names)} parameters, '
            f'so nothing would be learnt; leave some out.'
        )
    return tuple(name for name in names if name not in frozen)


def multipliers(rates: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """`Experiment.rates` by name; of several that match one, the last counts.

    Raises:
      UserError: an expression that is none, or matches no trained parameter.
    """
    factors: dict[str, float] = {}
    for pattern, factor in rates.items():
        factors |= dict.fromkeys(matching(pattern, names, 'Experiment.rates'), factor)
    return factors


def scaled(
    optimizer: optax.GradientTransformation, factors: Mapping[str, float]
) -> optax.GradientTransformation:
    """The optimizer with the updates of the named parameters multiplied."""
    if not factors:
        return optimizer

    def scale(updates, params=None):
        return {name: factors.get(name, 1.0) * value for name, value in updates.items()}

    return optax.chain(optimizer, optax.stateless(scale))


def checked(patterns: Collection[str], what: str = FREEZE) -> Collection[str]:
    """The expressions of `Experiment.freeze`, or of another setting, themselves.

    Raises:
      UserError: one is no regular expression.
    """
    for pattern in patterns:
        _compiled(pattern, what)
    return patterns


def matching(pattern: str, names: Sequence[str], what: str) -> list[str]:
    """The names that a regular expression matches from end to end.

    Args:
      pattern: the expression.
      names: of parameters.
      what: the setting that it stands in, such as 'Experiment.freeze'.

    Raises:
      UserError: it is no regular expression, or matches nothing.
    """
    expression = _compiled(pattern, what)
    found = [name for name in names if expression.fullmatch(name)]
    if not found:
        parts = dict.fromkeys('/'.join(name.split('/')[:2]) for name in names)
        raise UserError(
            f'{what} has {pattern!r}, which matches no parameter; they '
            f'begin with {", ".join(parts)} (an expression must match a whole name, '
            f"such as 'backbone/.*')."
        )
    return found


def _compiled(pattern: str, what: str) -> re.Pattern:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(
            f'{what} has {pattern!r}, which is no regular expression: {error}.'
        ) from error
