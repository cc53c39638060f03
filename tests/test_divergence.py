"""A run that is no longer finite says where, or goes on without the batch."""

import dataclasses
import json

import jax.numpy as jnp
import pytest

from tests.run_ends import assert_same_end
from trainer.checkpoints import CheckpointStore
from trainer.divergence import Divergence, batch_of, check_weights
from trainer.errors import Interrupted, TrainingFailed
from trainer.experiment import load
from trainer.signals import Stop
from trainer.state import TrainState
from trainer.train import train

ROLLBACK = Divergence(policy='rollback', rollbacks=9)
POISONED = 700  # the example that makes its batch, one in each epoch, not finite


def poison(key, batch):
    """Turns a batch with the poisoned example into NaN."""
    bad = jnp.any(batch['index'] == POISONED)
    return {**batch, 'image': jnp.where(bad, jnp.nan, batch['image'])}


def experiment(**changes):
    small = load(['configs/mlp.gin'], ['MLP.hidden_dim = 16', 'EPOCHS = 3'])
    data = dataclasses.replace(small.train_data, augment=[poison])
    return dataclasses.replace(small, train_data=data, log_every=3, **changes)


def record(workdir):
    return json.loads((workdir / 'divergence.json').read_text())


def test_it_names_step_batch_examples_and_what_shows_it_again(tmp_path):
    with pytest.raises(TrainingFailed) as failed:
        train(experiment(), tmp_path)
    message, (entry,) = str(failed.value), record(tmp_path)
    assert f'not finite at step {entry["step"]} (noticed at step' in message
    assert f'on batch {entry["step"] - 1} (examples {entry["examples"][0]}, ' in message
    assert f'`python main.py --workdir={tmp_path}` shows it again' in message
    assert '\n' not in message
    assert POISONED in entry['examples'] and len(entry['examples']) == 128
    assert entry['action'] == 'stopped'
    with pytest.raises(TrainingFailed) as again:
        train(experiment(), tmp_path)
    assert str(again.value) == message and record(tmp_path) == [entry]


def test_a_rollback_leaves_the_batch_out_and_keeps_account(tmp_path, capsys):
    results = train(experiment(divergence=ROLLBACK), tmp_path)
    assert results['step'] == 30
    entries = record(tmp_path)
    assert [entry['action'] for entry in entries] == ['left out'] * len(entries)
    assert all(POISONED in entry['examples'] for entry in entries)
    batches = [entry['batch'] for entry in entries]
    assert [batch // 10 for batch in batches][:3] == [0, 1, 2]
    manifest = CheckpointStore(tmp_path / 'checkpoints').manifest(30)
    assert manifest['skipped'] == batches
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == len(batches)
    assert f'batch {batches[0]} is left out from here on' in warnings[0]
    lines = (tmp_path / 'metrics.jsonl').read_text().splitlines()
    steps = [json.loads(line)['step'] for line in lines]
    assert steps == sorted(steps) and 'null' not in lines[0]


class Soon(Stop):
    """Stops at the n-th time that it is asked."""

    def __init__(self, asked):
        super().__init__()
        self.asked = asked

    def __bool__(self):
        self.asked -= 1
        if self.asked < 0:
            self.name = 'SIGTERM'
        return self.name is not None


@pytest.mark.parametrize('asked', [4, 14, 27])
def test_a_rolled_back_run_resumes_bit_by_bit(tmp_path, asked):
    leaving_out = experiment(divergence=ROLLBACK)
    whole, stopped = tmp_path / 'whole', tmp_path / 'stopped'
    train(leaving_out, whole)
    with pytest.raises(Interrupted):
        train(leaving_out, stopped, stop=Soon(asked))
    train(leaving_out, stopped)
    assert_same_end(whole, stopped)
    one, other = ([entry['batch'] for entry in record(d)] for d in (whole, stopped))
    assert one == other


def test_a_stopped_run_may_go_on_by_rollback(tmp_path):
    with pytest.raises(TrainingFailed):
        train(experiment(), tmp_path)
    assert train(experiment(divergence=ROLLBACK), tmp_path)['step'] == 30


def test_too_many_rollbacks_are_a_failure(tmp_path):
    twice = Divergence(policy='rollback', rollbacks=2)
    with pytest.raises(TrainingFailed, match='lower the learning rate'):
        train(experiment(divergence=twice), tmp_path)
    actions = [entry['action'] for entry in record(tmp_path)]
    assert actions == ['left out', 'left out', 'stopped']


def test_batches_are_counted_past_those_left_out():
    skipped = (3, 4, 7)
    kept = [batch for batch in range(20) if batch not in skipped]
    assert [batch_of(step, skipped) for step in range(len(kept))] == kept


def test_weights_that_are_not_finite_are_never_saved():
    params = {'stem/kernel': jnp.array([1.0, jnp.inf]), 'stem/bias': jnp.zeros(2)}
    blank = dict.fromkeys(field.name for field in dataclasses.fields(TrainState))
    state = TrainState(**blank | {'params': params})
    with pytest.raises(TrainingFailed, match='params/stem/kernel is not finite after'):
        check_weights(state, 7)
    check_weights(dataclasses.replace(state, params={'a': jnp.zeros(2)}), 7)
