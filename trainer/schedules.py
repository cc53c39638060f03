"""Schedules: the learning rate as a function of the step, float32, inside jit.

Each takes what the trainer knows (`total_steps`, `steps_per_epoch`) and what the
config says in people's units; a run takes steps 0 to total_steps - 1. They know
nothing of optimizers.
"""

import math
from collections.abc import Callable
from typing import Annotated

import gin
import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Gt, Interval

from trainer.errors import UserError

Steps = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Factor = Annotated[float, Interval(ge=0, le=1)]


@gin.register
def warmup_cosine(
    *,
    total_steps: Steps,
    steps_per_epoch: Steps,
    peak: Positive,
    warmup: NotNegative = 0.05,
    start_factor: Factor = 1e-3,
    end_factor: Factor = 0.05,
) -> optax.Schedule:
    """Linear from peak x start_factor up to peak, cosine down to peak x end_factor.

    The peak is reached after the warm-up, the end at the last step.

    Args:
      total_steps, steps_per_epoch: length of the run and of an epoch.
      peak: the highest learning rate.
      warmup: 1 or more are epochs, less is a fraction of the run; at least one step.
      start_factor, end_factor: first and last learning rate, as parts of the peak.

    Raises:
      UserError: the warm-up is longer than the run.

    References:
      Loshchilov and Hutter, SGDR (2017). Goyal et al., Accurate, Large Minibatch SGD
      (2017), for the warm-up.
    """
    steps = max(1, warmup_steps('warmup_cosine', warmup, total_steps, steps_per_epoch))

    def cosine(step):
        left = _left(step, steps, total_steps)
        return end_factor + (1 - end_factor) * _half_cosine(left)

    return _after_warmup(cosine, peak, steps, start_factor)


@gin.register
def constant(
    *,
    total_steps: Steps,
    steps_per_epoch: Steps,
    peak: Positive,
    warmup: NotNegative = 0.0,
    start_factor: Factor = 1e-3,
) -> optax.Schedule:
    """The peak at every step, after a linear warm-up where one is asked for.

    Arguments and errors as in `warmup_cosine`; a warm-up of 0 is none.
    """
    steps = warmup_steps('constant', warmup, total_steps, steps_per_epoch)
    return _after_warmup(lambda step: 1.0, peak, steps, start_factor)


@gin.register
def step_decay(
    *,
    total_steps: Steps,
    steps_per_epoch: Steps,
    peak: Positive,
    every: Positive,
    factor: Factor = 0.1,
    warmup: NotNegative = 0.0,
    start_factor: Factor = 1e-3,
) -> optax.Schedule:
    """The peak, times `factor` after every `every` epochs from the start of the run.

    Other arguments and errors as in `warmup_cosine`; a warm-up of 0 is none.
    """
    steps = warmup_steps('step_decay', warmup, total_steps, steps_per_epoch)
    period = max(1, round(every * steps_per_epoch))

    def stairs(step):
        return jnp.float32(factor) ** (step // period)

    return _after_warmup(stairs, peak, steps, start_factor)


@gin.register
def polynomial(
    *,
    total_steps: Steps,
    steps_per_epoch: Steps,
    peak: Positive,
    power: Positive = 1.0,
    end_factor: Factor = 0.0,
    warmup: NotNegative = 0.0,
    start_factor: Factor = 1e-3,
) -> optax.Schedule:
    """From the peak to peak x end_factor at the last step, as (what is left)^power.

    Other arguments and errors as in `warmup_cosine`; a warm-up of 0 is none, a power
    of 1 is a straight line.
    """
    steps = warmup_steps('polynomial', warmup, total_steps, steps_per_epoch)

    def slope(step):
        left = _left(step, steps, total_steps)
        return end_factor + (1 - end_factor) * left**power

    return _after_warmup(slope, peak, steps, start_factor)


@gin.register
def one_cycle(
    *,
    total_steps: Steps,
    steps_per_epoch: Steps,
    peak: Positive,
    warmup: NotNegative = 0.3,
    start_factor: Factor = 0.04,
    end_factor: Factor = 4e-6,
) -> optax.Schedule:
    """Cosine from peak x start_factor up to peak, cosine down to peak x end_factor.

    Arguments and errors as in `warmup_cosine`.

    References:
      Smith and Topin, Super-Convergence (2018).
    """
    steps = max(1, warmup_steps('one_cycle', warmup, total_steps, steps_per_epoch))

    def cosine(step):
        left = _left(step, steps, total_steps)
        return end_factor + (1 - end_factor) * _half_cosine(left)

    return _after_warmup(cosine, peak, steps, start_factor, rise=_half_cosine)


def warmup_steps(
    name: str, warmup: float, total_steps: int, steps_per_epoch: int
) -> int:
    """A warm-up in steps: epochs from 1 up, a fraction of the run below.

    Raises:
      UserError: it is longer than the run; `name` is the schedule's.
    """
    unit = steps_per_epoch if warmup >= 1 else total_steps
    steps = round(warmup * unit)
    if steps > total_steps:
        raise UserError(
            f'{name}.warmup = {warmup:g} epochs is {steps} steps, but the whole run '
            f'has {total_steps} ({total_steps / steps_per_epoch:g} epochs); shorten it '
            '(below 1 it is a fraction of the run) or train for more epochs.'
        )
    return steps


def _after_warmup(
    decay: Callable[[jax.Array], jax.Array | float],
    peak: float,
    steps: int,
    start_factor: float,
    rise: Callable[[jax.Array], jax.Array] = lambda done: done,
) -> optax.Schedule:
    """peak x rise from start_factor to 1 in `steps` steps, then peak x decay(step)."""

    def schedule(step):
        done = jnp.clip(step, 0, steps) / max(1, steps)
        warm = start_factor + (1 - start_factor) * rise(done)
        return peak * jnp.where(step < steps, warm, decay(step))

    return schedule


def _left(step: jax.Array, first: int, total_steps: int) -> jax.Array:
    """1 up to step `first`, 0 from the last step on, a line between.

    The difference is taken in integers: exact where a float32 has run out of digits.
    """
    span = max(1, total_steps - 1 - first)
    return jnp.clip(first + span - step, 0, span) / span


def _half_cosine(part: jax.Array) -> jax.Array:
    """0 to 1 as (1 - cos(pi x part)) / 2, which would lose its digits near 0."""
    return jnp.sin(math.pi / 2 * part) ** 2
