"""The fine-tuning configs: pictures in folders and foreign weights to a trained run."""

import json
import pathlib
import re
import shlex

import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

import main
import models
from models import vit
from models.pretrained.loading import weights_of
from models.pretrained.saving import foreign_weights
from models.pretrained.weight_files import write_safetensors
from tests.picture_folders import write_classes
from trainer.experiment import load
from trainer.job import open_job
from trainer.layers import rates_of
from trainer.signals import Stop
from trainer.train import train

ROOT = pathlib.Path(__file__).resolve().parents[1]
CASES = {
    'finetune_resnet50': ('resnet18', 'ResNet.depth = 18'),
    'finetune_vit_b16': ('vit_ti16', "ViT.size = 'Ti/16'"),
}
SMALL = ['EPOCHS = 1', 'BATCH = 8', 'SIZE = 32', 'ResizeShortSide.size = 36']
SMALL += ['Experiment.log_every = 1', 'Experiment.pictures = 0']
SAID = {'mean': [0.4, 0.5, 0.6], 'std': [0.2, 0.3, 0.4]}


@pytest.fixture(scope='module', autouse=True)
def shallow():
    """The smallest ViT with two blocks, which compiles in a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vit.SIZES, 'Ti', (64, 2, 2))
        yield


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Ten pictures of each of three classes."""
    return write_classes(tmp_path_factory.mktemp('data') / 'photos')


def weights(path, model):
    """A small model's weights at 224 pixels and 1000 classes, in timm's names."""
    net = models.create_model(model)
    arrays = {name: np.asarray(leaf[...]) for name, leaf in weights_of(net).items()}
    foreign = foreign_weights(net, arrays, 'timm')
    write_safetensors(path, foreign, {'preprocessing': json.dumps(SAID)})
    return arrays


@pytest.fixture(scope='module', params=CASES)
def tuned(request, photos, tmp_path_factory):
    """A config as shipped, with the smallest model of its family; and its weights."""
    model, smaller = CASES[request.param]
    path = tmp_path_factory.mktemp('weights') / f'{model}.safetensors'
    named = [f"FOLDER = '{photos}'", f"WEIGHTS = '{path}'"]
    arrays = weights(path, model)
    config = f'configs/{request.param}.gin'
    return load([config], [*SMALL, smaller, *named]), arrays


def test_it_begins_with_the_weights_and_a_new_head(tuned):
    experiment, arrays = tuned
    job = open_job(experiment, ())
    state = job.init_state()
    begun = {**state.params, **state.model_state}
    fitted = {*job.pretrained.replaced, *job.pretrained.adapted}
    for name, array in arrays.items():
        same = np.array_equal(begun[name], array)
        assert same == (name not in fitted), name
    assert begun['head/dense/kernel'].shape[1] == 3
    assert set(job.pretrained.replaced) == {'head/dense/bias', 'head/dense/kernel'}


def test_one_epoch_gives_a_scored_run_that_is_told_what_it_began_with(tuned, tmp_path):
    experiment, _ = tuned
    train(experiment, tmp_path / 'run', stop=Stop())
    results = json.loads((tmp_path / 'run/results.json').read_text())
    assert np.isfinite(results['test/loss'])
    config = json.loads((tmp_path / 'run/config.json').read_text())
    for role in ('train_data', 'eval_data', 'test_data'):
        assert config[f'{role}.mean'] == SAID['mean']
        assert config[f'{role}.std'] == SAID['std']
    told = json.loads((tmp_path / 'run/pretrained.json').read_text())
    assert len(told['sha256']) == 64 and 'head/dense/kernel' in told['replaced']


def test_the_head_learns_fastest_and_the_stem_slowest(tuned):
    experiment, arrays = tuned
    params = [n for n in arrays if not n.endswith(('/mean', '/var'))]
    factors = rates_of(experiment, params, params)
    fastest = {name for name in params if factors.get(name, 1) > 1}
    assert fastest == {'head/dense/kernel', 'head/dense/bias'}
    if experiment.layer_decay:
        slowest = min(factors.values())
        assert {factors[n] for n in params if '/stem/' in n} == {slowest}


def test_the_freeze_that_a_config_offers_keeps_every_batch_norm():
    text = (ROOT / 'configs/finetune_resnet50.gin').read_text()
    offered = re.search(r"freeze = \(\) +# \('(.+)',\)", text)[1]
    net = nnx.eval_shape(lambda: models.create_model('resnet18'))
    names = [name for name in weights_of(net) if name.startswith('backbone/')]
    kept = [name for name in names if re.fullmatch(offered, name)]
    assert kept == [name for name in names if 'norm' in name]


def test_the_recipe_can_be_followed(photos, tmp_path, monkeypatch):
    page = (ROOT / 'docs/recipes.md').read_text()
    section = page.partition('## Fine-tune on your folder')[2].partition('\n## ')[0]
    commands = re.findall(r'^\$ python main\.py (.*)', section, re.M)
    monkeypatch.chdir(tmp_path)
    for folder in ('photos', 'new'):
        pathlib.Path(folder).symlink_to(photos)
    weights(pathlib.Path('resnet50.safetensors'), 'resnet18')
    small = [f'--gin_bindings={line}' for line in (*SMALL, 'ResNet.depth = 18')]
    for command in commands:
        more = small if 'gin_file' in command else []
        assert main.main(['main.py', *shlex.split(command), *more]) == 0, command
    rows = pathlib.Path('answers.csv').read_text().splitlines()
    assert len(rows) == 31 and rows[0].startswith('file,label')
    with np.load('features.npz') as found:
        assert len(found['files']) == 30 and found['map_3'].shape[1:] == (1, 1, 512)
    assert 'conv1.weight' in load_file('photos.safetensors')
