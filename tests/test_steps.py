"""One step against a plain computation: accumulation, averages, freezing, rates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from trainer import steps
from trainer.descent import Average, scaled, trained
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import open_job
from trainer.plateau import PlateauTracker, plateau
from trainer.state import make_state
from trainer.steps import make_train_step


def job(*bindings, **changes):
    small = ['MLP.hidden_dim = 16', 'MLP.dropout = 0.0', *bindings]
    return open_job(
        dataclasses.replace(load(['configs/mlp.gin'], small), **changes), ()
    )


def batches(job, count):
    made = job.datasets['train'].train_batches(0)
    return [jax.tree.map(jnp.asarray, next(made)) for _ in range(count)]


def first_state(recipe):
    """The state that key 0 draws, computed piece by piece."""
    return make_state(recipe, *recipe.network.init(jax.random.key(0)))


def run(job, count, state=None):
    """The states after each of `count` steps."""
    recipe = dataclasses.replace(job.recipe)
    state = state or first_state(recipe)
    step, states = jax.jit(make_train_step(recipe)), []
    for batch in batches(job, count):
        state, watch = step(state, batch)
        states.append(state)
    return states, watch


def assert_close(one, other, rtol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol, 1e-7), one, other)


def test_accumulating_parts_equals_the_whole_batch():
    whole, _ = run(job(), 3)
    parts, _ = run(job('Experiment.accumulate = 4'), 3)
    for name, value in whole[-1].params.items():
        np.testing.assert_allclose(value, parts[-1].params[name], atol=1e-6)
    metrics = whole[-1].interval.compute(), parts[-1].interval.compute()
    assert metrics[0]['acc_top1'] == metrics[1]['acc_top1']
    assert metrics[0]['loss'] == pytest.approx(metrics[1]['loss'], abs=1e-6)


def test_parts_in_a_loop_are_those_written_out_in_the_memory_of_one(monkeypatch):
    """As on GPU and TPU; written out, all parts are held at once."""
    large = ['MLP.hidden_dim = 256', 'MLP.num_layers = 4', 'Images.batch = 512']
    given = job(*large, 'MLP.dropout = 0.1', 'Experiment.accumulate = 8')
    (batch,), (state, ends, memory) = batches(given, 1), (None, [], [])
    state = first_state(given.recipe)
    for looping in ((), (jax.default_backend(),)):
        monkeypatch.setattr(steps, 'LOOPING', looping)
        step = jax.jit(make_train_step(given.recipe)).lower(state, batch).compile()
        memory.append(step.memory_analysis().temp_size_in_bytes)
        ends.append(step(state, batch))
    assert memory[1] < memory[0] / 2
    (one, watch), (other, seen) = ends
    assert_close(watch, seen, 1e-5)
    assert_close(one.interval.compute(), other.interval.compute(), 1e-5)
    for name, value in one.params.items():
        np.testing.assert_allclose(value, other.params[name], atol=1e-4)


def test_a_batch_that_does_not_divide_into_parts_is_refused():
    with pytest.raises(UserError, match='does not divide into 3 parts'):
        job('Experiment.accumulate = 3')


def test_the_average_is_that_of_a_plain_loop():
    average = Average(decay=0.9, ramp=10.0)
    averaged = job(average=average)
    first = first_state(averaged.recipe)
    states, _ = run(averaged, 5)
    expected = {k: np.asarray(v, np.float64) for k, v in first.params.items()}
    for step, state in enumerate(states):
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in state.params.items():
            expected[name] = decay * expected[name] + (1 - decay) * np.asarray(value)
    for name, value in states[-1].weights[0].items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-7)
    plain, _ = run(job(), 5)
    assert_close(states[-1].params, plain[-1].params, 0)


def test_frozen_parameters_do_not_move_by_a_bit():
    frozen = job("Experiment.freeze = ('backbone/.*',)", 'adamw.weight_decay = 0.5')
    first = first_state(frozen.recipe)
    states, _ = run(frozen, 5)
    for name, value in states[-1].params.items():
        moved = bool((value != first.params[name]).any())
        assert moved == name.startswith('head/'), name
    remembered = jax.tree_util.tree_flatten_with_path(states[-1].opt_state)[0]
    assert not any('backbone' in str(path) for path, _ in remembered)


def test_what_is_frozen_equals_its_average_to_the_last_bit():
    frozen = job("Experiment.freeze = ('backbone/.*',)", average=Average())
    first = first_state(frozen.recipe)
    states, _ = run(frozen, 20)
    for name, value in states[-1].weights[0].items():
        moved = bool((value != first.params[name]).any())
        assert moved == name.startswith('head/'), name


@pytest.mark.parametrize('dtype', ['bfloat16', 'float32'])
@pytest.mark.parametrize('average', [Average(), Average(decay=0.3, ramp=1.0)], ids=str)
def test_equal_weights_stay_equal_over_many_updates(average, dtype):
    rng = np.random.default_rng(0)
    values = np.append(rng.standard_normal(5000), [-0.0, np.inf, -np.inf, 1e38])
    given = {'floats': jnp.asarray(values, dtype), 'count': jnp.arange(3)}
    update, after = jax.jit(average.update), given
    for step in range(200):
        after = update(after, given, step)
    for name, value in given.items():
        assert after[name].dtype == value.dtype
        np.testing.assert_array_equal(after[name].view('uint8'), value.view('uint8'))


def test_rates_multiply_updates():
    slow = job("Experiment.rates = {'.*': 0.5, 'head/.*': 2.0}", 'adamw.clip_norm=None')
    usual = job('adamw.clip_norm = None')
    first = first_state(usual.recipe).params
    after, _ = run(usual, 1)
    scaled_after, _ = run(slow, 1)
    for name, start in first.items():
        factor = 2.0 if name.startswith('head/') else 0.5
        moved = np.asarray(after[0].params[name]) - np.asarray(start)
        scaled_move = np.asarray(scaled_after[0].params[name]) - np.asarray(start)
        np.testing.assert_allclose(scaled_move, factor * moved, atol=2e-7)


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('bacbone/.*', 'matches no parameter; they begin with backbone/layers, head/'),
        ('(', 'is no regular expression'),
        ('.*', 'freezes all 2 parameters'),
    ],
)
def test_bad_patterns_are_named(pattern, message):
    with pytest.raises(UserError, match=message):
        trained(['backbone/layers/0/kernel', 'head/dense/bias'], [pattern])


def test_no_multiplier_leaves_the_optimizer_alone():
    optimizer = optax.sgd(0.1)
    assert scaled(optimizer, {}) is optimizer


def test_a_step_equals_optax_by_hand():
    plain = job('adamw.clip_norm = 1.0', 'Classification.label_smoothing = 0.0')
    state = first_state(plain.recipe)
    (after,), watch = run(
        dataclasses.replace(
            plain,
            recipe=dataclasses.replace(plain.recipe, prepare=lambda batch, key: batch),
        ),
        1,
        state,
    )
    (batch,) = batches(plain, 1)

    def loss(params):
        x = batch['image'].reshape(128, -1).astype(jnp.float32)
        for layer in range(2):
            name = f'backbone/layers/{layer}'
            x = jax.nn.gelu(x @ params[f'{name}/kernel'] + params[f'{name}/bias'])
        logits = x @ params['head/dense/kernel'] + params['head/dense/bias']
        return optax.softmax_cross_entropy_with_integer_labels(
            logits, batch['label']
        ).mean()

    value, grads = jax.value_and_grad(loss)(state.params)
    optimizer = plain.recipe.optimizer
    updates, _ = optimizer.update(grads, optimizer.init(state.params), state.params)
    expected = optax.apply_updates(state.params, updates)
    assert float(watch['loss']) == pytest.approx(float(value), rel=1e-5)
    for name, wanted in expected.items():
        np.testing.assert_allclose(after.params[name], wanted, atol=1e-5)


def test_a_plateau_waits_and_lowers_and_goes_on():
    schedule = plateau(
        total_steps=100, steps_per_epoch=10, peak=0.1, factor=0.5, patience=2
    )
    tracker = PlateauTracker(schedule)
    losses = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.1]
    scales = []
    for step, loss in enumerate(losses):
        scales.append(tracker.update(step, {'val/loss': loss}))
        tracker = PlateauTracker(schedule, tracker.state())
    assert scales == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert float(schedule(50)) == pytest.approx(0.1)
