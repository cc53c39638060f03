"""A run from beginning to end: what it writes, when it stops, what it refuses."""

import dataclasses
import json
import re
import sys

import pytest

from trainer import resume, rundir
from trainer.checkpoints import CheckpointStore
from trainer.errors import TrainingFailed, UserError
from trainer.evaluate import chosen_step, evaluate_run
from trainer.experiment import describe, load
from trainer.saver import Checkpoints
from trainer.selection import Best
from trainer.train import train


def experiment(*bindings, **changes):
    small = ['MLP.hidden_dim = 16', 'EPOCHS = 2', *bindings]
    return dataclasses.replace(load(['configs/mlp.gin'], small), **changes)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A finished run of two epochs, and its results."""
    workdir = tmp_path_factory.mktemp('runs') / 'mlp'
    return workdir, train(experiment(), workdir)


def rows(workdir):
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_run_directory_has_everything(finished):
    workdir, _ = finished
    names = {path.name for path in workdir.iterdir()}
    assert names >= {
        'config.gin',
        'config.json',
        'operative.gin',
        'provenance.json',
        'metrics.jsonl',
        'training_history.json',
        'results.json',
        'log.txt',
        'checkpoints',
        'tensorboard',
    }
    assert 'tensorflow' not in sys.modules


def test_the_log_begins_with_parts_config_and_every_parameter(finished):
    log = (finished[0] / 'log.txt').read_text().partition('compile')[0]
    parts = r'part +params\nbackbone/layers +1,312\nhead/dense +170\ntotal +1,482\n'
    assert re.search(parts, log)
    for key, value in rundir.config(finished[0]).items():
        assert f'\n{key} = ' in log, (key, value)
    assert '\nmodel.backbone.hidden_dim = 16\n' in log
    assert re.search(r'backbone/layers/0/kernel \| \(64, 16\) \| float32', log)


def test_config_gin_replays_the_run(finished, tmp_path):
    workdir, results = finished
    again = load([str(workdir / 'config.gin')])
    assert rundir.config(workdir) == describe(again)
    assert train(again, tmp_path / 'again') == results


def test_metrics_have_the_promised_names(finished):
    workdir, results = finished
    step, epoch = rows(workdir)[0], rows(workdir)[1]
    assert {'step', 'train/loss', 'train/acc_top1', 'perf/input_wait'} <= set(step)
    assert step['perf/step_ms_p50'] <= step['perf/step_ms_p95']
    assert step['perf/peak_host_mib'] > 50 and step['perf/compile_seconds'] >= 0
    assert {'epoch', 'val/loss', 'val/acc_top1', 'val/acc_top5'} <= set(epoch)
    assert {f'val/acc_class_{i}' for i in range(10)} <= set(epoch)
    assert {'best/step', 'val/acc_top1', 'test/acc_top1', 'test/loss'} <= set(results)


def test_evaluate_gives_what_training_gave(finished):
    workdir, results = finished
    scores = evaluate_run(workdir, 'test', 'best')
    assert {k: v for k, v in scores.items() if k.startswith('test/')} == {
        k: v for k, v in results.items() if k.startswith('test/')
    }
    written = json.loads((workdir / 'evaluation_test.json').read_text())
    assert written['examples'] == 360
    last = evaluate_run(workdir, 'eval', 'last')
    assert last['val/loss'] == rows(workdir)[-2]['val/loss']


@pytest.mark.parametrize(
    ('split', 'checkpoint', 'message'),
    [
        ('validation', 'best', "no split 'validation'; choose train, eval, test"),
        ('test', '7', "no checkpoint '7'.*choose best, last or 10, 20"),
    ],
)
def test_evaluate_names_what_there_is(finished, split, checkpoint, message):
    with pytest.raises(UserError, match=message):
        evaluate_run(finished[0], split, checkpoint)


def test_best_and_periodic_checkpoints_are_kept(tmp_path):
    keep = Checkpoints(keep=1, every=2)
    train(experiment('EPOCHS = 5', checkpoints=keep), tmp_path)
    store = CheckpointStore(tmp_path / 'checkpoints')
    best = chosen_step(store, 'best')
    assert store.steps() == sorted({20, 40, 50, best})


def test_early_stopping_keeps_the_best(tmp_path, capsys):
    best = Best(metric='val/loss', mode='max', patience=2)
    results = train(experiment('EPOCHS = 50', best=best), tmp_path)
    assert results['best/step'] == 10 and results['step'] == 30
    assert 'stopped early: val/loss has not improved in 2' in capsys.readouterr().out
    assert train(experiment('EPOCHS = 50', best=best), tmp_path) == results


def test_a_loss_that_is_not_finite_is_named_and_never_saved(tmp_path):
    burst = experiment('LEARNING_RATE = 1e30', 'adamw.clip_norm = None')
    message = r'not finite at step \d+ \(noticed at step 10; finite until step \d+\)'
    with pytest.raises(TrainingFailed, match=message):
        train(burst, tmp_path)
    assert CheckpointStore(tmp_path / 'checkpoints').steps() == []
    assert 'TrainingFailed' in (tmp_path / 'log.txt').read_text()


def test_an_unknown_best_metric_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match=r"did you mean 'val/acc_top1'\?"):
        train(experiment(best=Best(metric='val/accuracy_top1')), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_another_experiment_is_refused_by_name(finished):
    changed = experiment('MLP.num_layers = 3', 'adamw.weight_decay = 0.5')
    with pytest.raises(UserError) as refused:
        train(changed, finished[0])
    message = str(refused.value)
    assert 'model.backbone.num_layers was 2, is 3' in message
    assert 'optimizer.weight_decay was 0.01, is 0.5' in message


def test_what_changes_no_number_may_change():
    saved = describe(experiment())
    given = {**saved, 'log_every': 3, 'train_data.workers': 2, 'checkpoints.keep': 9}
    resume.check_config(saved, given)
    with pytest.raises(UserError, match='seed was 0, is 1'):
        resume.check_config(saved, {**given, 'seed': 1})


def test_changed_data_is_refused():
    with pytest.raises(UserError, match='The train data changed'):
        resume.check_data({'train': 'a', 'eval': 'b'}, {'train': 'c', 'eval': 'b'})
    with pytest.raises(UserError, match='learnt the classes'):
        resume.check_class_names(['cat', 'dog'], ['cat', 'cow'])


def test_without_evaluation_data_the_last_step_is_the_best(tmp_path):
    alone = experiment('EPOCHS = 1', eval_data=None, test_data=None)
    results = train(alone, tmp_path)
    assert results['best/step'] == results['step'] == 10
