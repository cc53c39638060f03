"""Weights that are damaged, hostile or another net's: one error, exit code 2, no trace.

Each goes the whole way, as a user would go it.
"""

import os
import pathlib
import pickle

import numpy as np
import pytest
from flax import nnx

import main
import models
from models.pretrained.loading import weights_of
from models.pretrained.saving import foreign_weights
from models.pretrained.weight_files import write_safetensors
from tests.peers import peer

TENSOR = 'layer1.0.conv1.weight'


@pytest.fixture(scope='module')
def good():
    """PyTorch's names with arrays that fit the config, but for its head."""
    net = nnx.eval_shape(lambda: models.create_model('resnet18', 10))
    draw = np.random.default_rng(0)
    arrays = {
        name: draw.normal(size=leaf.shape).astype(np.float32)
        for name, leaf in weights_of(net).items()
    }
    return foreign_weights(net, arrays, 'torchvision')


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty directory in which nothing may be left but the weights."""
    monkeypatch.chdir(tmp_path)


def mistake(location, capsys):
    """What training with these weights says; nothing is written, nothing trained."""
    before = sorted(pathlib.Path().rglob('*'))
    named = f"--gin.Net.pretrained='{location}'"
    config = ['--gin_file=configs/resnet18.gin', "--gin.ResNet.stem='imagenet'"]
    config += ['--gin.Images.mean=0.5', '--gin.Images.std=0.5']  # of grey pictures
    code = main.main(['main.py', 'train', *config, named, '--workdir=run'])
    _, error, said = capsys.readouterr().err.partition('error: ')
    assert code == 2 and error and sorted(pathlib.Path().rglob('*')) == before
    return said


def test_extra_missing_and_misshapen_tensors_stand_in_one_error(good, capsys):
    tensors = dict(good)
    del tensors['layer1.0.bn1.running_var']
    tensors['layer9.conv.weight'] = np.zeros((2, 2), np.float32)
    tensors[TENSOR] = tensors[TENSOR][..., :2]
    write_safetensors(pathlib.Path('w.safetensors'), tensors, {})
    said = mistake('w.safetensors', capsys)
    for differing in (
        'layer1.0.bn1.running_var (64,) is missing',
        'layer9.conv.weight (2, 2) is unknown',
        'stages/0/0/conv1/conv/kernel has shape (3, 2, 64, 64), and wants (3, 3, 64,',
    ):
        assert differing in said
    assert '3 of them differ' in said and said.count('\n') == 1


def test_another_architecture_is_named(good, capsys):
    net = nnx.eval_shape(lambda: models.create_model('vit_ti16', 10))
    zeros = {k: np.zeros(v.shape, np.float32) for k, v in weights_of(net).items()}
    foreign = foreign_weights(net, zeros, 'timm')
    write_safetensors(pathlib.Path('w.safetensors'), foreign, {})
    assert 'holds weights of a vit (timm names)' in mistake('w.safetensors', capsys)


def test_a_truncated_safetensors_is_damaged(good, capsys):
    path = pathlib.Path('w.safetensors')
    write_safetensors(path, good, {})
    path.write_bytes(path.read_bytes()[:-1000])
    assert 'w.safetensors is damaged' in mistake(path, capsys)


def test_a_directory_that_is_no_run_is_told_from_a_file(capsys):
    pathlib.Path('folder').mkdir()
    assert 'folder is a directory' in mistake('folder', capsys)


@pytest.mark.parametrize('kept', [0.5, 0.01, 0])
def test_a_truncated_pth_is_damaged(good, capsys, kept):
    torch, path = peer('torch'), pathlib.Path('w.pth')
    torch.save({k: torch.from_numpy(np.array(v)) for k, v in good.items()}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert 'w.pth is damaged' in mistake(path, capsys)


class Payload:
    """Makes a file where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ('executed',)


@pytest.mark.parametrize('legacy', [False, True])
def test_code_in_a_pickle_is_never_executed(good, capsys, legacy):
    torch, path = peer('torch'), pathlib.Path('w.pth')
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in good.items()}
    hostile = {**tensors, 'payload': Payload()}
    torch.save(hostile, path, _use_new_zipfile_serialization=not legacy)
    assert 'holds more than weights, which is not loaded' in mistake(path, capsys)
    assert not pathlib.Path('executed').exists()


@pytest.mark.parametrize('name', ['w.pth', 'w.bin', 'w.ckpt', 'w.safetensors'])
def test_a_bare_pickle_is_never_executed(capsys, name):
    path = pathlib.Path(name)
    path.write_bytes(pickle.dumps({TENSOR: Payload()}))
    said = mistake(path, capsys)
    assert 'is damaged' in said or 'PyTorch, which is not installed' in said
    assert not pathlib.Path('executed').exists()


def test_the_payload_would_have_been_executed():
    pickle.loads(pickle.dumps(Payload()))
    assert pathlib.Path('executed').is_dir()
