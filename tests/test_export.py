"""A run handed to PyTorch: strict names, the same logits, and back again unchanged."""

import json

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from models.pretrained.loading import load_pretrained
from models.pretrained.saving import foreign_weights
from tests.peers import peer
from trainer.errors import UserError
from trainer.experiment import load
from trainer.export import export
from trainer.predict import open_predictor
from trainer.signals import Stop
from trainer.train import train

SMALL = [
    'EPOCHS = 1',
    'BATCH = 32',
    "train/Images.split = 'train[:96]'",
    "eval/Images.split = 'train[96:128]'",
    'Experiment.test_data = None',
    'Experiment.pictures = 0',
]


def trained(directory, config, *bindings):
    train(load([config], [*SMALL, *bindings]), directory, stop=Stop())
    return directory


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A ResNet-18 with PyTorch's stem, a few steps old."""
    directory = tmp_path_factory.mktemp('run')
    return trained(directory, 'configs/resnet18.gin', "ResNet.stem = 'imagenet'")


@pytest.mark.parametrize('naming', ['torchvision', 'timm'])
def test_pytorch_loads_it_strictly_and_gives_the_same_logits(run, naming):
    torch, library = peer('torch'), peer(naming)
    if naming == 'torchvision':
        net = library.models.resnet18(num_classes=10)
        net.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    else:
        net = library.create_model('resnet18', num_classes=10, in_chans=1)
    arrays = load_file(export(run, naming=naming))
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    net.load_state_dict(tensors, strict=True)
    dtypes = {name: tensor.dtype for name, tensor in net.state_dict().items()}
    assert {name: tensor.dtype for name, tensor in tensors.items()} == dtypes
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 1)).astype(np.float32)
    with torch.no_grad():
        theirs = net.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    ours = jax.device_get(logits(run, images))
    assert np.abs(theirs - ours).max() / np.abs(ours).max() <= 1e-4


def logits(directory, images):
    predictor = open_predictor(directory, 'best')
    apply = predictor.job.recipe.network.apply
    return jax.jit(apply)(predictor.params, predictor.model_state, images)


def test_it_is_read_back_bit_for_bit_with_what_it_expects(run):
    path = export(run, out=run / 'again.safetensors')
    predictor = open_predictor(run, 'best')
    network = predictor.job.recipe.network
    net = network.eval_model(predictor.params, predictor.model_state)
    loaded = load_pretrained(str(path), net)
    expected = {**predictor.params, **predictor.model_state}
    assert not (loaded.replaced or loaded.adapted)
    for name, array in loaded.arrays.items():
        assert (array == expected[name]).all()
    assert loaded.preprocessing == {'mean': [0.5], 'std': [0.5]}


def test_the_header_says_what_the_weights_are(run):
    with safe_open(export(run), 'numpy') as file:
        said = file.metadata()
    assert json.loads(said['classes']) == [str(digit) for digit in range(10)]
    assert json.loads(said['input_shape']) == [8, 8, 1]
    assert (said['format'], said['naming'], said['step']) == ('pt', 'torchvision', '3')


def test_what_does_not_come_back_as_it_was_is_not_written(run, monkeypatch, tmp_path):
    assert json.loads(safe_open(export(run), 'numpy').metadata()['parity']) == {
        'arrays_read_back': len(load_file(export(run))) - 20,  # counters of 20 norms
        'difference': 0.0,
    }

    def rounded(model, weights, naming):
        foreign = foreign_weights(model, weights, naming)
        return foreign | {'fc.bias': foreign['fc.bias'] + np.float32(1e-7)}

    monkeypatch.setattr('trainer.export.foreign_weights', rounded)
    said = r'1 arrays do not come back from timm names as they were \(head/'
    with pytest.raises(UserError, match=said):
        export(run, naming='timm', out=tmp_path / 'w.safetensors')
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_half_written(run, monkeypatch, tmp_path):
    path = tmp_path / 'w.safetensors'
    path.write_bytes(b'old')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(UserError, match='cannot be written: No space left'):
        export(run, out=path)
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]


def test_the_command_writes_and_says_where(run, here, tmp_path):
    done = here('export', f'--workdir={run}', '--naming=timm', '--out=w.safetensors')
    assert done.returncode == 0, done.stderr
    assert 'wrote w.safetensors' in done.stderr
    assert 'conv1.weight' in load_file(tmp_path / 'w.safetensors')


def test_mistakes_are_refused(run, tmp_path, here):
    with pytest.raises(UserError, match='export writes no csv; choose --format=saf'):
        export(run, 'csv')
    mlp = trained(tmp_path / 'mlp', 'configs/mlp.gin')
    with pytest.raises(UserError, match=r'MLP has no table of .* --format=stablehlo'):
        export(mlp)
    done = here('predict', 'a.png', f'--workdir={run}', '--format=safetensors')
    assert done.returncode == 2
    assert 'predict writes no safetensors; choose --format=jsonl' in done.stderr
