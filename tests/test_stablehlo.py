"""A run as one program: it answers as the run does, where there is no Juniper."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.test_export import trained
from trainer import stablehlo
from trainer.errors import UserError
from trainer.experiment import load
from trainer.export import export
from trainer.predict import open_predictor
from trainer.signals import Stop
from trainer.train import train

ALONE = """
import json, sys
import jax.export
import numpy as np
path, images, out = sys.argv[1:]
with open(path, 'rb') as file:
    answers = jax.export.deserialize(file.read()).call(np.load(images))
np.savez(out, **answers)
assert not {'trainer', 'models', 'flax', 'gin'} & set(sys.modules)
"""


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp('run'), 'configs/mlp.gin')


def test_it_answers_as_the_run_does_without_juniper(run, tmp_path):
    path = export(run, 'stablehlo')
    draw = np.random.default_rng(1)
    images = draw.integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    np.save(tmp_path / 'images.npy', images)
    told = [str(path), str(tmp_path / 'images.npy'), str(tmp_path / 'out.npz')]
    subprocess.run([sys.executable, '-c', ALONE, *told], cwd=tmp_path, check=True)
    theirs = np.load(tmp_path / 'out.npz')
    predictor = open_predictor(run, 'best')
    normal = (images / np.float32(255) - 0.5) / 0.5
    decode = jax.jit(predictor.decode)
    ours = decode(predictor.params, predictor.model_state, normal)
    assert set(theirs) == set(ours)
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-5, atol=1e-6)


def test_what_one_must_know_stands_beside_it(run):
    path = export(run, 'stablehlo')
    facts = json.loads(path.with_name(path.name + '.json').read_text())
    assert facts['input'] == {'shape': ['batch', '8', '8', '1'], 'dtype': 'uint8'}
    assert facts['outputs']['probabilities']['shape'] == ['batch', '10']
    assert facts['class_names'] == [str(digit) for digit in range(10)]
    assert facts['platforms'] == ['cpu', 'cuda', 'tpu']
    assert facts['parity']['difference'] <= 1e-5


def test_a_program_that_answers_otherwise_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stablehlo, '_difference', lambda *_: float('nan'))
    with pytest.raises(UserError, match=r'differs from the run by nan .* nothing is'):
        export(run, 'stablehlo', out=tmp_path / 'm')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'bindings'),
    [
        ('configs/resnet18.gin', ()),
        ('configs/resnet18.gin', ('Net.backbone = @ViT', "ViT.size = 'Ti/4'")),
        ('configs/regression.gin', ()),
    ],
    ids=['resnet', 'vit', 'regression'],
)
def test_other_nets_are_exported_too(tmp_path, config, bindings):
    small = ['EPOCHS = 1', 'BATCH = 32', 'Experiment.pictures = 0']
    train(load([config], [*small, *bindings]), tmp_path / 'run', stop=Stop())
    assert export(tmp_path / 'run', 'stablehlo').stat().st_size > 1000
