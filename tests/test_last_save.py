"""The last save of a run goes on behind its scores, and comes to its end before it."""

import errno
import threading
import time

import pytest

from trainer import files, record, state_files
from trainer.checkpoints import CheckpointStore
from trainer.errors import Interrupted, SaveFailed
from trainer.evaluate import evaluate_run
from trainer.experiment import load
from trainer.run import Run
from trainer.signals import Stop
from trainer.train import train


def narrow(epochs: int, *bindings):
    """An experiment of ten steps an epoch."""
    bindings = ['MLP.hidden_dim = 8', f'EPOCHS = {epochs}', *bindings]
    return load(['configs/mlp.gin'], bindings)


def test_the_best_is_scored_while_the_last_step_is_on_its_way(tmp_path, monkeypatch):
    durable, write, score = files.make_durable, record.write_results, Run.scores
    scored, order = threading.Event(), []

    def make_durable(directory):
        assert directory.name != '20' or scored.wait(60)
        durable(directory)
        order.append(directory.name)

    def scores(*arguments):
        found = score(*arguments)
        scored.set()
        return found

    def write_results(*arguments):
        order.append('results')
        return write(*arguments)

    monkeypatch.setattr(files, 'make_durable', make_durable)
    monkeypatch.setattr(Run, 'scores', scores)
    monkeypatch.setattr(record, 'write_results', write_results)
    assert train(narrow(2), tmp_path)['step'] == 20
    assert order == ['10', '20', 'results']


@pytest.mark.parametrize('average', [(), ('Experiment.average = @Average()',)])
def test_a_last_state_that_is_the_best_is_scored_without_being_read(
    tmp_path, monkeypatch, average
):
    with monkeypatch.context() as patched:
        patched.setattr(state_files, 'load', None)
        results = train(narrow(1, *average), tmp_path)
    read = evaluate_run(tmp_path, 'test')
    assert read['checkpoint/step'] == 10
    scores = {key: value for key, value in results.items() if key.startswith('test/')}
    assert scores and scores == {key: read[key] for key in scores}


@pytest.mark.parametrize('fails', [False, True])
def test_a_signal_to_the_scores_lets_the_last_save_come_to_its_end(
    tmp_path, monkeypatch, fails
):
    stop, score, durable = Stop(), Run.scores, files.make_durable

    def scores(*arguments):
        stop.ask('SIGTERM')
        return score(*arguments)

    def make_durable(directory):
        if fails:
            raise OSError(errno.ENOSPC, 'no room')
        time.sleep(0.3)
        durable(directory)

    monkeypatch.setattr(Run, 'scores', scores)
    monkeypatch.setattr(files, 'make_durable', make_durable)
    ending = (SaveFailed, 'then start') if fails else (Interrupted, 'while scoring')
    with pytest.raises(ending[0], match=ending[1]):
        train(narrow(1), tmp_path, stop=stop)
    assert CheckpointStore(tmp_path / 'checkpoints').steps() == [10] * (not fails)
