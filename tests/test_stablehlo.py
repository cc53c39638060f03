"""A run as a StableHLO program: served with no code of ours, equal, whole or absent."""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export as jax_export

from tests.test_export import trained
from trainer import stablehlo
from trainer.errors import UserError
from trainer.experiment import load
from trainer.export import export
from trainer.predict import open_predictor
from trainer.signals import Stop
from trainer.train import train

ROOT = pathlib.Path(__file__).parents[1]
ALONE = """\
import importlib.util
assert not any(map(importlib.util.find_spec, ('trainer', 'models')))
"""


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """An MLP, a few steps old."""
    return trained(tmp_path_factory.mktemp('run'), 'configs/mlp.gin')


@pytest.fixture(scope='module')
def file(run, tmp_path_factory):
    return export(
        run, 'stablehlo', out=tmp_path_factory.mktemp('w') / 'model.stablehlo'
    )


def drawn(size):
    return np.random.default_rng(size).integers(0, 256, (size, 8, 8, 1), np.uint8)


def originals(directory, images):
    predictor = open_predictor(directory, 'best')
    function = jax.jit(predictor.from_pixels(predictor.decode))
    return jax.device_get(function(predictor.params, predictor.model_state, images))


def equals(directory, path, size):
    exported = jax_export.deserialize(bytearray(path.read_bytes()))
    found, expected = exported.call(drawn(size)), originals(directory, drawn(size))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('size', [1, 2, 7])
def test_any_batch_gets_the_answers_of_the_run(run, file, size):
    equals(run, file, size)


@pytest.mark.slow
@pytest.mark.parametrize(
    'bindings',
    [(), ('Net.backbone = @ViT', "ViT.size = 'Ti/4'")],
    ids=['resnet', 'vit'],
)
def test_other_nets_too(tmp_path, bindings):
    directory = trained(tmp_path / 'run', 'configs/resnet18.gin', *bindings)
    equals(directory, export(directory, 'stablehlo'), 5)


def test_a_net_of_numbers_takes_float32(tmp_path):
    few = ['EPOCHS = 1', 'Experiment.pictures = 0']
    train(load(['configs/regression.gin'], few), tmp_path / 'run', stop=Stop())
    path = export(tmp_path / 'run', 'stablehlo')
    card = json.loads(path.with_name(path.name + '.json').read_text())
    assert card['inputs']['images'] == {'shape': ['batch', 1], 'dtype': 'float32'}


def test_the_card_says_what_the_program_is(file):
    card = json.loads(file.with_name('model.stablehlo.json').read_text())
    assert card['inputs'] == {'images': {'shape': ['batch', 8, 8, 1], 'dtype': 'uint8'}}
    assert card['platforms'] == ['cpu', 'cuda', 'tpu']
    assert card['classes'] == [str(digit) for digit in range(10)]
    assert card['sha256'] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card['versions']['jax'] == jax.__version__
    assert set(card['parity']['difference']) == set(card['outputs'])
    assert max(card['parity']['difference'].values()) <= 1e-5
    assert all(said['shape'][0] == 'batch' for said in card['outputs'].values())


def test_the_documented_example_serves_it_without_our_code(run, file):
    text = (ROOT / 'docs/serve.md').read_text()
    (example,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    script, images = file.with_name('serve.py'), drawn(5)
    script.write_text(ALONE + example)
    np.save(file.with_name('images.npy'), images)
    command = [sys.executable, '-I', script.name]
    done = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for name, value in originals(run, images).items():
        served = np.array([row[name] for row in rows])
        np.testing.assert_allclose(served, value, rtol=1e-5, atol=1e-5)


def test_a_program_that_disagrees_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stablehlo, 'TOLERANCE', -1.0)
    with pytest.raises(UserError, match='away from the run, more than'):
        export(run, 'stablehlo', out=tmp_path / 'model.stablehlo')
    assert not list(tmp_path.iterdir())


def test_a_changed_answer_is_seen():
    one = np.array([1.0, 100.0, np.nan], np.float32)
    assert stablehlo.difference(one, one) == 0
    assert stablehlo.difference(one + np.float32(0.5), one) == 0.5 / 1
    assert stablehlo.difference(one[:2], one) == float('inf')
    assert stablehlo.difference(np.full(3, np.nan, np.float32), one) == float('inf')


def test_without_its_card_no_program_stays(run, tmp_path):
    (tmp_path / 'model.stablehlo.json').mkdir()
    with pytest.raises(UserError, match='cannot be written'):
        export(run, 'stablehlo', out=tmp_path / 'model.stablehlo')
    assert not (tmp_path / 'model.stablehlo').exists()


def test_the_command_writes_both(run, here, tmp_path):
    done = here('export', f'--workdir={run}', '--format=stablehlo', '--out=m.hlo')
    assert done.returncode == 0, done.stderr
    assert 'wrote m.hlo' in done.stderr
    assert {'m.hlo', 'm.hlo.json'} <= {path.name for path in tmp_path.iterdir()}
