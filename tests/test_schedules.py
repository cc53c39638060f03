"""Schedules against closed forms in float64 numpy, and against Optax."""

import jax
import numpy as np
import optax
import pytest

from trainer import schedules
from trainer.errors import UserError

PEAK = 3e-3
# Two units in the last place of a float32.
CLOSE = 3e-7
RUNS = [(300, 11), (3300, 11), (7, 3), (1, 1), (2, 2)]


def every_step(schedule, total_steps):
    values = jax.jit(jax.vmap(schedule))(np.arange(total_steps))
    assert values.dtype == np.float32
    return np.asarray(values, np.float64)


def warmed(total_steps, steps, decay, start=1e-3):
    """The closed form: a line from start up to 1, then decay(part of the way)."""
    step = np.arange(total_steps)
    part = np.maximum(step - steps, 0) / max(1, total_steps - 1 - steps)
    line = start + (1 - start) * step / max(1, steps)
    return PEAK * np.where(step < steps, line, decay(part))


def cosine(part, end=0.05):
    return end + (1 - end) * (1 + np.cos(np.pi * part)) / 2


@pytest.mark.parametrize(('total_steps', 'steps_per_epoch'), RUNS)
@pytest.mark.parametrize('warmup', [0.0, 0.05, 0.5, 0.999])
def test_warmup_cosine_equals_closed_form(total_steps, steps_per_epoch, warmup):
    schedule = schedules.warmup_cosine(
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        peak=PEAK,
        warmup=warmup,
    )
    steps = max(1, round(warmup * total_steps))
    values = every_step(schedule, total_steps)
    expected = warmed(total_steps, steps, cosine)
    np.testing.assert_allclose(values, expected, rtol=CLOSE)


def test_warmup_of_one_or_more_is_in_epochs():
    run = {'total_steps': 110, 'steps_per_epoch': 11, 'peak': PEAK}
    values = every_step(schedules.warmup_cosine(**run, warmup=2), 110)
    assert values[0] == pytest.approx(PEAK * 1e-3, rel=CLOSE)
    assert values.argmax() == 22
    assert values[22] == pytest.approx(PEAK, rel=CLOSE)
    assert values[-1] == pytest.approx(PEAK * 0.05, rel=CLOSE)
    one = every_step(schedules.warmup_cosine(**run, warmup=1), 110)
    assert one.argmax() == 11


def test_the_end_lasts():
    schedule = schedules.warmup_cosine(total_steps=10, steps_per_epoch=5, peak=PEAK)
    assert schedule(9) == schedule(10) == schedule(1000)
    assert schedule(10) == pytest.approx(PEAK * 0.05, rel=CLOSE)


def test_a_very_long_run_keeps_its_digits():
    total_steps = 2**30
    schedule = schedules.warmup_cosine(
        total_steps=total_steps, steps_per_epoch=2**20, peak=PEAK, warmup=1
    )
    steps = total_steps - 1 - np.array([0, 1000, 2**27, 2**29])
    part = (steps - 2**20) / (total_steps - 1 - 2**20)
    values = np.asarray(jax.vmap(schedule)(steps))
    np.testing.assert_allclose(values, PEAK * cosine(part), rtol=CLOSE)


@pytest.mark.parametrize(
    'name', ['warmup_cosine', 'constant', 'step_decay', 'polynomial', 'one_cycle']
)
def test_a_warmup_longer_than_the_run_is_refused(name):
    options = {'every': 1} if name == 'step_decay' else {}
    message = rf'{name}.warmup = 5 epochs is 55 steps, but the whole run has 33 \(3 ep'
    with pytest.raises(UserError, match=message):
        getattr(schedules, name)(
            total_steps=33, steps_per_epoch=11, peak=PEAK, warmup=5, **options
        )


def test_a_warmup_as_long_as_the_run_is_a_line():
    schedule = schedules.warmup_cosine(
        total_steps=33, steps_per_epoch=11, peak=PEAK, warmup=3
    )
    assert (np.diff(every_step(schedule, 33)) > 0).all()


@pytest.mark.parametrize(('total_steps', 'steps_per_epoch'), RUNS)
@pytest.mark.parametrize('warmup', [0.0, 0.3])
def test_constant_equals_closed_form(total_steps, steps_per_epoch, warmup):
    schedule = schedules.constant(
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        peak=PEAK,
        warmup=warmup,
    )
    expected = warmed(total_steps, round(warmup * total_steps), np.ones_like)
    np.testing.assert_allclose(every_step(schedule, total_steps), expected, rtol=CLOSE)


@pytest.mark.parametrize('power', [0.5, 1.0, 2.0])
@pytest.mark.parametrize('warmup', [0.0, 0.3])
def test_polynomial_equals_closed_form_and_optax(power, warmup):
    schedule = schedules.polynomial(
        total_steps=300,
        steps_per_epoch=11,
        peak=PEAK,
        power=power,
        end_factor=0.1,
        warmup=warmup,
    )
    steps = round(warmup * 300)
    values = every_step(schedule, 300)
    expected = warmed(300, steps, lambda part: 0.1 + 0.9 * (1 - part) ** power)
    np.testing.assert_allclose(values, expected, rtol=CLOSE)
    decay = optax.polynomial_schedule(PEAK, PEAK * 0.1, power, 299 - steps)
    # Not the last step: Optax takes what is left as 1 - 299 / 299 = 6e-8 when jitted.
    by_optax = every_step(decay, 299 - steps)
    np.testing.assert_allclose(values[steps:-1], by_optax, rtol=2e-6)


def test_step_decay_equals_closed_form_and_optax():
    schedule = schedules.step_decay(
        total_steps=330, steps_per_epoch=11, peak=PEAK, every=10, factor=0.1
    )
    values = every_step(schedule, 330)
    expected = PEAK * 0.1 ** (np.arange(330) // 110)
    np.testing.assert_allclose(values, expected, rtol=CLOSE)
    stairs = optax.piecewise_constant_schedule(PEAK, {110: 0.1, 220: 0.1})
    np.testing.assert_allclose(values, every_step(stairs, 330), rtol=CLOSE)


def test_one_cycle_equals_optax():
    schedule = schedules.one_cycle(total_steps=301, steps_per_epoch=11, peak=PEAK)
    expected = optax.cosine_onecycle_schedule(300, PEAK)
    np.testing.assert_allclose(
        every_step(schedule, 301), every_step(expected, 301), rtol=1e-5, atol=1e-9
    )
