"""Regression: from a table's numbers and back to them, with scikit-learn's scores."""

import dataclasses
import json
import types

import gin
import jax
import numpy as np
import optax
import pytest
from sklearn import metrics as reference

from trainer.collected import Collector
from trainer.data import Images
from trainer.data.facts import RememberedData, facts_of
from trainer.data.sources.function import Function
from trainer.data.sources.shapes import Shapes
from trainer.data.statistics import target_statistics
from trainer.errors import UserError
from trainer.evaluate import evaluate_run
from trainer.experiment import load
from trainer.metrics_regression import regression_scores
from trainer.tasks.regression import Regression
from trainer.train import train

NAMES = ('length', 'mass', 'age')
MEAN, STD = (5.0, -1e4, 0.5), (2.0, 300.0, 1e-3)


def prepare(**fields):
    """A task for three targets of very different units."""
    data = types.SimpleNamespace(target_names=NAMES, target_statistics=(MEAN, STD))
    return Regression(**fields).prepare(data)


@pytest.fixture
def examples():
    """Outputs and targets of 23 examples."""
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=(23, 3))
    outputs = (wanted + rng.normal(size=(23, 3))).astype(np.float32)
    return outputs, (wanted * STD + MEAN).astype(np.float32)


def measure(task, examples, batch):
    """Everything in padded batches, as an evaluation does; the padding holds NaN."""
    outputs, targets = examples
    collector, total = Collector(), task.metrics(train=False).empty()

    @jax.jit
    def step(total, outputs, target, mask):
        losses = task.loss(outputs, {'target': target})
        update = task.metrics(train=False).single_from_model_output(
            outputs=outputs, target=target, mask=mask, losses=losses, image=None
        )
        return total.merge(update)

    for start in range(0, len(outputs), batch):
        rows = slice(start, start + batch)
        count = len(outputs[rows])
        padding = ((0, batch - count), (0, 0))
        padded = [
            np.pad(values[rows], padding, constant_values=np.nan)
            for values in (outputs, targets)
        ]
        total = collector.take(step(total, *padded, np.arange(batch) < count))
    return task.summarize(collector.give(total))


@pytest.mark.parametrize('batch', [1, 4, 23, 32])
def test_scores_equal_scikit_learn_for_any_batch(examples, batch):
    task = prepare()
    outputs, targets = examples
    predictions = np.float64(outputs) * STD + MEAN
    scores = measure(task, examples, batch)
    assert scores['loss'] == pytest.approx(
        np.mean(task.loss(outputs, {'target': targets}))
    )
    functions = {
        'r2': reference.r2_score,
        'rmse': reference.root_mean_squared_error,
        'mae': reference.mean_absolute_error,
    }
    for name, function in functions.items():
        expected = function(targets, predictions)
        assert scores[name] == pytest.approx(expected, rel=1e-6)
        single = function(targets, predictions, multioutput='raw_values')
        for i, value in enumerate(single):
            assert scores[f'{name}_target_{i}'] == pytest.approx(value, rel=1e-6)


def test_one_target_has_no_scores_of_its_parts():
    scores = regression_scores(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]))
    assert scores == {'r2': pytest.approx(1 - 2 / 2.25), 'rmse': 2**0.5, 'mae': 1.0}


def test_no_data_and_no_variance_are_none_and_nan_stays_nan(examples):
    task = prepare()
    empty = task.summarize(task.metrics(train=False).empty())
    assert set(empty.values()) == {None} and task.best[0] in empty
    constant = regression_scores(np.array([[1.0], [2.0]]), np.ones((2, 1)))
    assert constant['r2'] is None and constant['mae'] == 0.5
    outputs, targets = examples
    outputs[3, 1] = np.nan
    scores = measure(task, (outputs, targets), 8)
    assert np.isnan(scores['r2']) and np.isnan(scores['r2_target_1'])
    assert np.isfinite(scores['r2_target_0'])


def test_training_measures_the_loss_alone():
    task = prepare()
    assert list(task.summarize(task.metrics(train=True).empty())) == ['loss']
    assert task.metrics(train=False) is prepare().metrics(train=False)


@pytest.mark.parametrize('penalty', ['mse', 'mae', 'huber'])
def test_losses_are_of_standardised_targets(examples, penalty):
    task = prepare(penalty=penalty, huber_delta=0.5)
    outputs, targets = examples
    errors = outputs - (targets - np.array(MEAN)) / np.array(STD)
    expected = {
        'mse': np.square(errors),
        'mae': np.abs(errors),
        'huber': np.asarray(optax.losses.huber_loss(errors, delta=0.5)),
    }
    losses = jax.jit(task.loss)(outputs, {'target': targets})
    assert losses.shape == (23,)
    np.testing.assert_allclose(losses, expected[penalty].mean(axis=1), rtol=2e-3)


def test_decode_gives_each_target_by_its_name_in_its_units(examples):
    outputs, _ = examples
    decoded = prepare().decode(outputs)
    assert tuple(decoded) == NAMES
    np.testing.assert_allclose(decoded['mass'], outputs[:, 1] * 300 - 1e4, rtol=1e-5)


def test_prepare_standardises_by_the_training_data():
    dataset = Images(
        source=Shapes(kind='target', train=40), split='train', batch=8
    ).open()
    task = Regression().prepare(dataset)
    targets = dataset.column('target').astype(np.float64)
    assert task.target_names == ('x', 'y', 'radius') and task.num_outputs == 3
    np.testing.assert_allclose(task.mean, targets.mean(axis=0))
    np.testing.assert_allclose(task.std, targets.std(axis=0))
    assert hash(task) == hash(Regression().prepare(dataset)) and task != Regression()


def test_a_run_remembers_what_it_needs_to_decode():
    dataset = Images(source=Function(train=40), split='train', batch=8).open()
    remembered = RememberedData(json.loads(json.dumps(facts_of(dataset))))
    assert Regression().prepare(remembered) == Regression().prepare(dataset)


def test_a_target_that_never_changes_is_learnt_as_it_is():
    data = types.SimpleNamespace(
        target_names=('y',), target_statistics=((3.0,), (0.0,))
    )
    assert Regression().prepare(data).std == (1.0,)


def test_targets_that_are_no_numbers_are_named():
    targets = np.ones((5, 2))
    targets[2, 1] = targets[4, 0] = np.nan
    source = types.SimpleNamespace(
        name='Table [train]',
        target_names=('a', 'b'),
        column=lambda field: targets,
        identify=lambda index: f'row {index}',
    )
    message = r'Table \[train\]: row 2 has nan as its target b \(2 such in 5\)'
    with pytest.raises(UserError, match=message):
        target_statistics(source)


def test_data_of_another_task_is_refused(examples):
    data = types.SimpleNamespace(target_names=())
    with pytest.raises(UserError, match='needs examples with a target'):
        Regression().prepare(data)
    with pytest.raises(UserError, match=r"'target' in each example.* has only label;"):
        prepare().loss(examples[0], {'label': np.zeros(23)})


def test_outputs_of_another_shape_are_refused(examples):
    with pytest.raises(UserError, match=r'shape \(23, 3\).*gives \(23, 2\)'):
        prepare().loss(examples[0][:, :2], {'target': examples[1]})


def test_gin_builds_it():
    gin.parse_config("Regression.penalty = 'huber'")
    task = gin.get_configurable(Regression)()
    gin.clear_config()
    assert task == Regression(penalty='huber')


def test_the_shipped_config_learns_its_function(tmp_path):
    experiment = load(['configs/regression.gin'], ['EPOCHS = 12'])
    experiment = dataclasses.replace(experiment, log_every=200, eval_every=6)
    results = train(experiment, tmp_path / 'run')
    assert results['test/r2'] > 0.95
    assert results['test/rmse'] < 0.2
    scores = evaluate_run(tmp_path / 'run')
    assert scores['test/r2'] == pytest.approx(results['test/r2'], rel=1e-6)
