"""The shipped configs: nothing to report, the knobs at the top, models of one kind."""

import pathlib
import re
import subprocess
import sys

import pytest

from trainer.experiment import load
from trainer.lint.report import check_report, findings

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUNS = sorted(p for p in (ROOT / 'configs').glob('*.gin') if p.name != 'base.gin')
MODELS = sorted((ROOT / 'configs/models').glob('*.gin'))


def name(path):
    """A config as one types it."""
    return str(path.relative_to(ROOT))


def bound(path):
    """The left sides of a file's own bindings."""
    lines = path.read_text().splitlines()
    return [line.split(' = ')[0] for line in lines if ' = ' in line and line[0] != '#']


def knob(path, name):
    """The number that a file gives a knob."""
    (found,) = re.findall(rf'^{name} = (\S+)', path.read_text(), re.M)
    return float(found)


@pytest.mark.parametrize('path', RUNS, ids=name)
def test_a_run_config_has_nothing_to_report(path):
    assert findings([name(path)]) == []
    text, ok = check_report([name(path)])
    assert ok and 'no mistakes' in text


@pytest.mark.parametrize('path', RUNS, ids=name)
def test_a_run_config_says_what_it_is_and_how_to_start_it(path):
    first, second, *_ = path.read_text().splitlines()
    assert first.startswith('# ') and 20 < len(first) <= 90
    assert f'python main.py --gin_file={name(path)}' in second


@pytest.mark.parametrize('path', RUNS, ids=name)
def test_the_knobs_stand_at_the_top_and_turn(path):
    knobs = [key for key in bound(path) if key.isupper()]
    assert bound(path)[: len(knobs)] == knobs
    assert {'EPOCHS', 'BATCH', 'LEARNING_RATE'} <= set(knobs)
    assert len(knobs) <= 6
    assert load([name(path)]).train_data.batch % 8 == 0
    turns = ['EPOCHS = 2', 'BATCH = 16', 'LEARNING_RATE = 0.5', 'WEIGHT_DECAY = 0.25']
    turned = load([name(path)], turns)
    assert (turned.epochs, turned.train_data.batch) == (2, 16)
    assert turned.schedule.keywords['peak'] == 0.5
    assert turned.optimizer.keywords['weight_decay'] == 0.25


@pytest.mark.parametrize('path', RUNS, ids=name)
def test_a_run_has_a_weight_decay_of_its_own_only_where_it_differs(path):
    (model,) = re.findall(r"^include '(configs/models/.+)'", path.read_text(), re.M)
    decay = knob(ROOT / model, 'WEIGHT_DECAY')
    if 'WEIGHT_DECAY' in bound(path):
        assert knob(path, 'WEIGHT_DECAY') != decay
        decay = knob(path, 'WEIGHT_DECAY')
    assert load([name(path)]).optimizer.keywords['weight_decay'] == decay


@pytest.mark.parametrize('path', RUNS, ids=name)
def test_what_is_tested_on_is_not_trained_on(path):
    experiment = load([name(path)])
    splits = [experiment.train_data, experiment.eval_data, experiment.test_data]
    assert len({images.split for images in splits}) == 3


@pytest.mark.parametrize('model', MODELS, ids=name)
@pytest.mark.parametrize('run', RUNS, ids=name)
def test_a_model_file_on_top_switches_model_learning_rate_and_weight_decay(run, model):
    found = findings([name(run), name(model)])
    assert [f for f in found if f.severity == 'error'] == []
    assert len(found) <= 1
    experiment = load([name(run), name(model)])
    assert experiment.name == model.stem
    assert experiment.schedule.keywords['peak'] == knob(model, 'LEARNING_RATE')
    decay = experiment.optimizer.keywords['weight_decay']
    assert decay == knob(model, 'WEIGHT_DECAY')


def test_base_makes_the_settings_of_best_and_checkpoints_reachable():
    experiment = load(
        ['configs/mlp.gin'], ['Best.patience = 3', 'Checkpoints.keep = 5']
    )
    assert (experiment.best.patience, experiment.checkpoints.keep) == (3, 5)


def test_the_template_wants_only_its_placeholders_filled(tmp_path):
    errors = findings(['docs/template.gin'])
    assert errors and all('CHANGE_ME' in error.message for error in errors)
    text = (ROOT / 'docs/template.gin').read_text()
    text = text.replace("'CHANGE_ME'", "'train'")
    mine = tmp_path / 'mine.gin'
    mine.write_text(text)
    assert findings([str(mine)]) == []
    turned = load([str(mine)], ['LEARNING_RATE = 0.5', 'WEIGHT_DECAY = 0.25'])
    assert turned.schedule.keywords['peak'] == 0.5
    assert turned.optimizer.keywords['weight_decay'] == 0.25


def test_the_linter_of_an_empty_machine_is_fast():
    code = (
        'import resource, sys\n'
        'from trainer.lint.report import check_report\n'
        "assert check_report(['configs/resnet18.gin'])[1]\n"
        'used = resource.getrusage(resource.RUSAGE_SELF)\n'
        'print(used.ru_utime + used.ru_stime)\n'
        "assert 'tensorflow' not in sys.modules\n"
        'from jax._src import xla_bridge\n'
        'assert not xla_bridge.backends_are_initialized()  # a run may have them\n'
    )
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3.0
