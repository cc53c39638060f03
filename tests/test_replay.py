"""Runs of experiments that were made or changed in Python tell of them as they are."""

import dataclasses
import functools
import pathlib

import pytest

from models import MLP, Classifier, Net
from trainer import rundir
from trainer.augment import FlipLeftRight, PadCrop
from trainer.checkpoints import CheckpointStore
from trainer.data.images import Images
from trainer.errors import UserError
from trainer.evaluate import chosen_step, evaluate_run
from trainer.experiment import Experiment, describe, load
from trainer.optimizers import sgd
from trainer.replay import replayable
from trainer.schedules import constant
from trainer.search.study import search
from trainer.seeds import with_seed
from trainer.signals import Stop
from trainer.tasks.classification import Classification
from trainer.train import train

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / 'configs').glob('*.gin')
    if path.stem != 'base' and not path.stem.startswith('finetune')
)


def by_hand(**changes):
    """An experiment with more than one of a kind."""
    net = functools.partial(
        Net, backbone=functools.partial(MLP, hidden_dim=8), head=Classifier
    )
    parts = {
        'name': 'by_hand',
        'model': net,
        'task': Classification(class_weights=(1.0,) * 9 + (2.0,)),
        'train_data': Images(
            split='train[:90%]', batch=128, augment=[PadCrop(pad=1), FlipLeftRight()]
        ),
        'eval_data': Images(split='train[90%:]', batch=128, mean=(0.4,)),
        'optimizer': functools.partial(sgd, momentum=0.5),
        'schedule': functools.partial(constant, peak=0.1),
        'rates': {'head/.*': 2.0},
        'writers': (),
        'pictures': 0,
        'epochs': 1,
    }
    return Experiment(**parts | changes)


def read_back(experiment, folder):
    """What the text of an experiment builds."""
    path = folder / 'config.gin'
    path.write_text(replayable(experiment).source.config_gin)
    return describe(load([str(path)]))


@pytest.mark.parametrize('config', CONFIGS)
def test_a_config_that_was_changed_in_python_is_told_as_it_is(config, tmp_path):
    experiment = load([config])
    assert replayable(experiment) is experiment
    changed = dataclasses.replace(experiment, seed=7, seeds=(1, 2))
    assert read_back(changed, tmp_path) == describe(changed)


def test_a_run_that_was_made_by_hand_is_scored_without_its_maker(tmp_path):
    experiment = by_hand()
    assert read_back(experiment, tmp_path) == describe(experiment)
    results = train(experiment, tmp_path / 'run')
    again = load([str(tmp_path / 'run' / rundir.CONFIG_GIN)])
    assert describe(again) == describe(experiment) == again.source.config
    scores = evaluate_run(tmp_path / 'run', 'val')
    assert scores['val/loss'] == results['val/loss']


def test_each_seed_is_what_was_changed(tmp_path):
    changed = dataclasses.replace(load(['configs/mlp.gin']), epochs=3, seeds=(4, 5))
    changed = replayable(changed)
    (tmp_path / rundir.CONFIG_GIN).write_text(changed.source.config_gin)
    one = with_seed(changed, tmp_path, 4)
    assert (one.epochs, one.seed, one.seeds) == (3, 4, ())


def test_parts_that_no_config_can_name_leave_no_text():
    assert replayable(by_hand(hooks=[lambda *_: None])).source is None
    loaded = load(['configs/mlp.gin'])
    changed = dataclasses.replace(loaded, hooks=[lambda *_: None])
    assert replayable(changed).source is None


def test_a_search_refuses_what_it_would_lose(tmp_path):
    changed = dataclasses.replace(load(['configs/search/mlp.gin']), epochs=1)
    with pytest.raises(UserError, match='give the changes to load'):
        search(changed, tmp_path, argv=(), stop=Stop(), console=None)


def test_a_run_of_several_seeds_leads_to_them(tmp_path):
    (tmp_path / 'seed_4').mkdir()
    store = CheckpointStore(tmp_path / rundir.CHECKPOINTS)
    with pytest.raises(UserError, match=r'name one of its seeds, such as .*seed_4\.'):
        chosen_step(store, 'best')
