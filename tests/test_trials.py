"""Short trials: two steps of everything, and one batch learnt by heart."""

import pytest

from trainer import feeding
from trainer.console import Console
from trainer.errors import TrainingFailed
from trainer.experiment import load
from trainer.signals import Stop
from trainer.trials import fast, overfit


def experiment(*bindings):
    return load(['configs/mlp.gin'], ['MLP.hidden_dim = 64', *bindings])


def test_fast_runs_everything_and_keeps_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    results = fast(experiment(), stop=Stop(), console=Console())
    assert results['step'] == 2 and 'test/loss' in results
    assert list(tmp_path.iterdir()) == []
    assert 'nothing was kept' in capsys.readouterr().out


def test_fast_evaluates_two_batches_at_most():
    results = fast(experiment('BATCH = 8'), stop=Stop(), console=Console(quiet=True))
    hits = results['test/acc_top1'] * 16
    assert hits == pytest.approx(round(hits))


@pytest.mark.parametrize('cache', ['auto', 'device'])
def test_one_batch_is_learnt(capsys, monkeypatch, cache):
    """Of data on a GPU or TPU too, where a run takes several steps in one dispatch."""
    monkeypatch.setattr(feeding, 'SCANNING', ('cpu',))
    given = experiment(f"Images.cache = '{cache}'")
    steps = overfit(given, stop=Stop(), console=Console())
    assert f'is learnt after {steps} steps' in capsys.readouterr().out


def test_a_batch_that_cannot_be_learnt_is_said():
    hopeless = experiment('LEARNING_RATE = 1e-12')
    with pytest.raises(TrainingFailed, match=r'could not be learnt in 20 steps'):
        overfit(hopeless, stop=Stop(), console=Console(quiet=True), most_steps=20)
