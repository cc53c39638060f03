"""A net with BatchNorm on every layout: one device's numbers, but for rounding."""

import argparse
import json

import numpy as np
import pytest

from benchmarks import drift
from tests.in_turn import alone, on_devices
from tests.several import Several
from tests.small_resnet import GIN
from tests.test_processes import scores

STEPS = 50
SLOW = [
    pytest.param(name, marks=pytest.mark.slow) for name in ('model', 'fsdp and model')
]
SPLIT = ['data', 'fsdp', *SLOW]


@pytest.fixture(scope='module')
def flags(tmp_path_factory):
    """What `drift.losses_of` takes, for a small net of batches of 32."""
    config = tmp_path_factory.mktemp('small') / 'small.gin'
    config.write_text(GIN)
    return argparse.Namespace(gin_file=config, steps=STEPS, bind=['Images.batch = 32'])


@pytest.fixture(scope='module')
def one(flags):
    """The losses of one device in float64."""
    return drift.losses_of('one device', flags, '--exact')


@pytest.mark.parametrize('layout', SPLIT)
def test_in_double_the_losses_are_those_of_one_device(flags, one, layout):
    losses = drift.losses_of(layout, flags, '--exact')
    assert len(losses) == STEPS
    assert losses == pytest.approx(one, abs=1e-9, rel=0)


@pytest.mark.slow
def test_the_gradient_is_that_of_one_device(tmp_path, flags):
    first = argparse.Namespace(**{**vars(flags), 'steps': 1})
    found = []
    for layout in ('one device', 'fsdp'):
        file = tmp_path / f'{layout}.npz'
        drift.losses_of(layout, first, f'--gradient={file}')
        with np.load(file) as arrays:
            found.append({name: arrays[name].astype(float) for name in arrays.files})
    assert len(found[0]) > 10
    for name, gradient in found[0].items():
        apart = np.linalg.norm(found[1][name] - gradient)
        assert apart < 2e-5 * np.linalg.norm(gradient), name


def test_a_checkpoint_goes_from_layout_to_layout_and_scores_alike(tmp_path, flags):
    workdir = f'--workdir={tmp_path}'
    arguments = [f'--gin_file={flags.gin_file}', '--gin.BATCH=144', workdir]
    arguments += ['--gin.Experiment.pictures=0']
    fsdp = ['--gin.Parallel.fsdp=4', '--gin.Parallel.model=2', '--gin.EPOCHS=1']
    trained = [*arguments, *fsdp], [*arguments, '--gin.EPOCHS=2']
    said = on_devices(8, *trained, ['evaluate', workdir])
    assert 'going on from step 8 of 16' in said and '360 examples' in said
    results = json.loads((tmp_path / 'results.json').read_text())
    by_eight = scores(tmp_path)
    (tmp_path / 'evaluation_test.json').unlink()
    alone(tmp_path, 'evaluate')
    for found in (by_eight, scores(tmp_path)):
        assert found['examples'] == 360
        assert found['test/acc_top1'] == results['test/acc_top1']
        assert found['test/loss'] == pytest.approx(results['test/loss'], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('layout', SPLIT)
@pytest.mark.parametrize(('count', 'devices'), [(2, 4), (4, 2)])
def test_several_processes_compute_as_one_device(flags, one, layout, count, devices):
    arguments = [f'--layout={layout}', '--exact', f'--gin_file={flags.gin_file}']
    arguments += [f'--steps={STEPS}']
    program = {index: ['-m', 'benchmarks.drift'] for index in range(count)}
    said = Several(arguments, count, devices, program=program).done()
    assert drift.read_losses(said) == pytest.approx(one, abs=1e-9, rel=0)
