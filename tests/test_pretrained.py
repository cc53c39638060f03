"""A run that begins with weights of a file: fitted, told, remembered, trained on."""

import json

import numpy as np
import pytest

from models.pretrained.loading import families
from models.pretrained.mapping import export_weights
from models.pretrained.weight_files import write_safetensors
from tests.picture_folders import write_classes
from trainer.errors import UserError
from trainer.evaluate import evaluate_run
from trainer.experiment import load
from trainer.job import open_job
from trainer.predict import open_predictor
from trainer.pretrained import expecting
from trainer.signals import Stop
from trainer.train import train

SMALL = ['EPOCHS = 3', 'BATCH = 64', 'Experiment.log_every = 1']
SMALL += ["train/Images.split = 'train[:256]'"]


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A torchvision-like ResNet-18 for grey images and 7 classes, with statistics."""
    path = tmp_path_factory.mktemp('weights') / 'resnet18.safetensors'
    job = open_job(load(['configs/resnet18.gin'], SMALL), ())
    state = job.init_state()
    draw = np.random.default_rng(0)
    arrays = {
        k: np.asarray(v) for k, v in {**state.params, **state.model_state}.items()
    }
    for name, array in arrays.items():
        if name.endswith(('mean', 'var', 'scale')):
            arrays[name] = draw.uniform(0.5, 1.5, array.shape).astype(np.float32)
    arrays['head/dense/kernel'] = np.zeros((512, 7), np.float32)
    arrays['head/dense/bias'] = np.zeros(7, np.float32)
    rules = families()['resnet']['torchvision']
    said = json.dumps({'mean': [0.4], 'std': [0.3]})
    write_safetensors(path, export_weights(rules, arrays), {'preprocessing': said})
    return path, arrays


def resnet(weights, *bindings):
    named = f"Net.pretrained = '{weights}'"
    return load(['configs/resnet18.gin'], [*SMALL, named, *bindings])


@pytest.fixture(scope='module')
def run(weights, tmp_path_factory):
    """A run that began with the weights."""
    directory = tmp_path_factory.mktemp('run')
    train(resnet(weights[0]), directory, stop=Stop())
    return directory


def read(path):
    return json.loads(path.read_text())


def test_a_run_begins_with_the_weights_but_for_the_head(weights):
    path, arrays = weights
    state = open_job(resnet(path), ()).init_state()
    for name, array in {**state.params, **state.model_state}.items():
        same = np.array_equal(array, arrays[name])
        assert same != name.startswith('head/'), name


def test_what_became_of_the_tensors_is_told_and_the_loss_falls(run):
    said = (run / 'log.txt').read_text()
    assert '100 arrays taken' in said
    assert 'drawn anew: head/dense/bias, head/dense/kernel' in said
    told = read(run / 'pretrained.json')
    assert told['naming'] == 'torchvision' and len(told['sha256']) == 64
    assert set(told['left_out']) == {'fc.weight', 'fc.bias'}
    rows = map(json.loads, (run / 'metrics.jsonl').read_text().splitlines())
    losses = [row['train/loss'] for row in rows if 'train/loss' in row]
    assert len(losses) == 12 and losses[-1] < losses[0]


def test_statistics_of_the_weights_move(weights, run):
    predictor = open_predictor(run, 'last')
    name = 'backbone/stem/norm/mean'
    moved = np.abs(predictor.model_state[name] - weights[1][name])
    assert moved.max() > 1e-3


def test_what_the_weights_expect_is_used_without_them_later(weights, run):
    path, _ = weights
    config, results = read(run / 'config.json'), read(run / 'results.json')
    assert config['train_data.mean'] == [0.4] and config['eval_data.std'] == [0.3]
    moved = path.rename(path.with_name('elsewhere.safetensors'))
    try:
        again = evaluate_run(run)
    finally:
        moved.rename(path)
    assert again['test/loss'] == pytest.approx(results['test/loss'], abs=1e-6)


def test_grey_data_gets_the_mean_of_what_colours_are_expected_to_be(tmp_path, weights):
    path, arrays = tmp_path / 'colours.safetensors', weights[1]
    rules = families()['resnet']['torchvision']
    write_safetensors(path, export_weights(rules, arrays), {})  # torchvision's custom
    fed = expecting(resnet(path))
    assert fed.train_data.mean == pytest.approx((0.485 + 0.456 + 0.406) / 3)
    assert fed.eval_data.std == pytest.approx((0.229 + 0.224 + 0.225) / 3)


def test_weights_without_a_size_leave_that_of_the_transforms(tmp_path, weights):
    path, arrays = tmp_path / 'colours.safetensors', weights[1]
    rules = families()['resnet']['torchvision']
    write_safetensors(path, export_weights(rules, arrays), {})
    folder = write_classes(tmp_path / 'photos', 5)
    photos = [f"Images.folder = '{folder}'", "train/Images.split = 'train'"]
    photos += ['Images.transforms = [@ResizeShortSide(), @CenterCrop()]']
    fed = expecting(resnet(path, *photos)).train_data
    assert fed.mean == (0.485, 0.456, 0.406)
    assert fed.open().image_shape == (224, 224, 3)


def test_what_the_config_says_wins(weights):
    own = expecting(resnet(weights[0], 'Images.mean = 0.25'))
    assert own.train_data.mean == 0.25 and own.train_data.std == (0.3,)


def test_a_run_begins_with_the_best_checkpoint_of_another(run):
    loaded = open_job(resnet(run), ()).pretrained
    assert loaded.naming == 'juniper' and not loaded.replaced
    assert loaded.preprocessing == {'mean': [0.4], 'std': [0.3]}


def test_a_run_begins_with_any_checkpoint_of_another(run):
    first, *_, last = sorted(int(path.name) for path in (run / 'checkpoints').iterdir())
    arrays = [
        open_job(resnet(f'{run}/checkpoints/{step}'), ()).pretrained.arrays
        for step in (first, last)
    ]
    kernel = 'backbone/stem/conv/kernel'
    assert not np.array_equal(arrays[0][kernel], arrays[1][kernel])
    kept = open_predictor(run, str(first)).params[kernel]
    np.testing.assert_array_equal(arrays[0][kernel], kept)


def test_weights_that_do_not_fit_leave_nothing_behind(weights, tmp_path):
    path, _ = weights
    with pytest.raises(UserError, match=r'Net\.pretrained: .* differ'):
        train(resnet(path, 'ResNet.depth = 50'), tmp_path / 'run', stop=Stop())
    with pytest.raises(UserError, match='There is no weight file'):
        train(resnet(tmp_path / 'none.safetensors'), tmp_path / 'run', stop=Stop())
    assert not (tmp_path / 'run').exists()
