"""Further losses and metrics by gin reference: summed, weighed, measured, refused."""

import dataclasses
import json

import clu.metrics
import flax
import gin
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.test_evaluations import After
from tests.test_resume import assert_same_end
from trainer.errors import Interrupted, UserError
from trainer.experiment import load
from trainer.lint.report import check_report
from trainer.tasks.classification import Classification
from trainer.tasks.extended import Extended
from trainer.train import train


@gin.register(module='tests')
def brier_loss(outputs, batch, *, power: float = 2.0):
    wanted = jax.nn.one_hot(batch['label'], outputs.shape[-1])
    return jnp.sum(jnp.abs(jax.nn.softmax(outputs) - wanted) ** power, axis=-1)


@gin.register(module='tests')
def typed_loss(outputs: jax.Array, batch: dict) -> jax.Array:
    return jnp.sum(outputs**2, axis=-1)


@gin.register(module='tests')
@flax.struct.dataclass
class Confidence(clu.metrics.Average):
    @classmethod
    def from_model_output(cls, *, outputs, mask, **_):
        likeliest = jnp.max(jax.nn.softmax(outputs), axis=-1)
        return super().from_model_output(likeliest, mask=mask)


@gin.register(module='tests')
def confidence_metric():
    return Confidence


CONFIG = """
Experiment.task = @Extended()
Extended.task = @Classification()
Extended.losses = {'brier': @brier_loss, 'size': @typed_loss}
Extended.loss_weights = {'task': 0.5, 'size': 0.01}
Extended.scores = {'confidence': @Confidence, 'again': @confidence_metric}
brier_loss.power = 2.0
"""


@pytest.fixture
def files(tmp_path):
    path = tmp_path / 'extended.gin'
    path.write_text(f'# Brier beside cross-entropy.\n{CONFIG}')
    return ['configs/mlp.gin', str(path)]


SMALL = ['MLP.hidden_dim = 16', 'EPOCHS = 2']


def test_the_loss_is_the_weighted_sum():
    rng = np.random.default_rng(0)
    outputs = jnp.asarray(rng.normal(size=(4, 3)), jnp.float32)
    batch = {'label': jnp.array([0, 1, 2, 0]), 'mask': jnp.array([True] * 3 + [False])}
    own = dataclasses.replace(Classification())
    object.__setattr__(own, 'class_names', ('a', 'b', 'c'))
    task = Extended(
        task=own,
        losses={'brier': brier_loss, 'size': typed_loss},
        loss_weights={'task': 0.5, 'size': 0.01},
    )
    expected = 0.5 * own.loss(outputs, batch) + brier_loss(outputs, batch)
    expected += 0.01 * typed_loss(outputs, batch)
    np.testing.assert_allclose(task.loss(outputs, batch), expected, rtol=1e-6)
    alone = dataclasses.replace(task, loss_weights={'task': 0, 'brier': 0})
    np.testing.assert_allclose(
        alone.loss(outputs, batch), typed_loss(outputs, batch), rtol=1e-6
    )


def test_a_config_names_losses_and_metrics_and_each_is_measured(files, tmp_path):
    text, good = check_report(files, SMALL)
    assert good, text
    results = train(load(files, SMALL), tmp_path / 'run')
    parts = [results[f'test/loss_{name}'] for name in ('task', 'brier', 'size')]
    total = 0.5 * parts[0] + parts[1] + 0.01 * parts[2]
    assert results['test/loss'] == pytest.approx(total, rel=1e-5)
    assert 0.1 < results['test/confidence'] == results['test/again'] < 1
    assert results['best/step'] > 0 and 'test/acc_top1' in results
    lines = (tmp_path / 'run/metrics.jsonl').read_text().splitlines()
    assert 'train/loss_brier' in json.loads(lines[0])


def test_parameters_of_a_loss_are_bound_and_described(files):
    experiment = load(files, [*SMALL, 'brier_loss.power = 1.0'])
    outputs, batch = jnp.zeros((1, 2)), {'label': jnp.zeros(1, jnp.int32)}
    loss = experiment.task.losses['brier']
    np.testing.assert_allclose(loss(outputs, batch), [1.0])
    text, good = check_report(files, [*SMALL, "brier_loss.power = 'two'"])
    assert not good and 'brier_loss.power' in text


def test_resumed_it_ends_as_if_it_had_not_been_stopped(files, tmp_path):
    experiment = load(files, SMALL)
    train(experiment, tmp_path / 'whole')
    with pytest.raises(Interrupted):
        train(experiment, tmp_path / 'stopped', stop=After(15))
    train(experiment, tmp_path / 'stopped')
    assert_same_end(tmp_path / 'whole', tmp_path / 'stopped')


@pytest.mark.parametrize(
    ('bindings', 'message'),
    [
        ({'loss_weights': {'bier': 1.0}}, "'bier'; the losses are task, brier"),
        ({'losses': {'task': brier_loss}}, "speak of 'task'"),
        ({'loss_weights': {'task': 0, 'brier': 0}}, 'nothing would be learnt'),
    ],
)
def test_weights_that_fit_no_loss_are_refused(bindings, message):
    given = {'losses': {'brier': brier_loss}, **bindings}
    with pytest.raises(UserError, match=message):
        Extended(task=Classification(), **given)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (
            {'losses': {'mean': lambda outputs, batch: jnp.mean(outputs)}},
            r"The loss 'mean' gives an array of shape \(\)",
        ),
        ({'scores': {'odd': lambda: 3}}, "'odd': 3, which is no clu.metrics.Metric"),
    ],
)
def test_what_is_no_loss_and_no_metric_is_refused(tmp_path, fields, message):
    task = Extended(task=Classification(), **fields)
    experiment = dataclasses.replace(load(['configs/mlp.gin'], SMALL), task=task)
    with pytest.raises(UserError, match=message):
        train(experiment, tmp_path / 'run')
