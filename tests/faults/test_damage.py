"""Bits flipped and files broken in the newest checkpoint are noticed, every one."""

import pathlib
import random
import shutil

import numpy as np
import pytest

import main
from tests.faults import amounts
from tests.run_ends import assert_same_end
from trainer.checkpoints import CheckpointStore
from trainer.errors import UserError
from trainer.experiment import load
from trainer.fingerprints import fingerprints
from trainer.job import open_job

BINDINGS = ['MLP.hidden_dim = 16', 'EPOCHS = 3']
MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=16', '--gin.EPOCHS=3']


def train(workdir):
    return main.main(['main.py', *MLP, f'--workdir={workdir}'])


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run of three epochs, with the last two checkpoints."""
    workdir = tmp_path_factory.mktemp('whole') / 'run'
    assert train(workdir) == 0
    return workdir


@pytest.fixture(scope='module')
def state():
    """What is to be restored, by shape and type."""
    return open_job(load(['configs/mlp.gin'], BINDINGS)).abstract_state()


def files_of(run):
    newest = run / 'checkpoints' / '30'
    return sorted(path for path in newest.rglob('*') if path.is_file())


@pytest.mark.timeout(0)
def test_no_flipped_bit_is_silent(tmp_path, whole, state, tally, capfd):
    run = pathlib.Path(shutil.copytree(whole, tmp_path / 'run'))
    store, files = CheckpointStore(run / 'checkpoints'), files_of(run)
    good, manifest = store.load(30, state)
    good, seed = fingerprints(good), random.randrange(2**32)
    print(f'flips from random seed {seed}')
    rng = np.random.default_rng(seed)
    caught = 0
    while caught < amounts.FLIPS:
        file = files[rng.integers(len(files))]
        content = file.read_bytes()
        if not content:
            continue
        changed = bytearray(content)
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
        file.write_bytes(changed)
        try:
            found, facts = store.load(30, state)
            same = fingerprints(found) == good and facts == manifest
            tally('bit flips', harmless=same, silent=not same)
            assert same
        except UserError as error:
            assert 'is damaged' in str(error)
            tally('bit flips', survived=1)
            caught += 1
        file.write_bytes(content)
    assert capfd.readouterr().err == ''


def break_file(path, how):
    content = path.read_bytes()
    if how == 'deleted':
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if how == 'truncated' else b'')


@pytest.mark.timeout(0)
@pytest.mark.parametrize('how', ['deleted', 'truncated', 'emptied'])
def test_a_broken_file_costs_a_checkpoint(tmp_path, whole, how, tally, capfd):
    names = [path.relative_to(whole) for path in files_of(whole)]
    for index, name in enumerate(names):
        run = pathlib.Path(shutil.copytree(whole, tmp_path / str(index)))
        (run / 'results.json').unlink()
        harmless = not (run / name).stat().st_size and how != 'deleted'
        break_file(run / name, how)
        capfd.readouterr()
        assert train(run) == 0
        warnings = capfd.readouterr().err.splitlines()
        aside = (run / 'checkpoints' / '30.corrupt').exists()
        assert len(warnings) == aside <= (not harmless), (name, warnings)
        assert_same_end(whole, run)
        tally(f'file {how}', survived=aside, harmless=not aside)
        shutil.rmtree(run)


def test_half_of_an_old_step_is_no_checkpoint(tmp_path, whole, tally, capfd):
    run = pathlib.Path(shutil.copytree(whole, tmp_path / 'run'))
    (run / 'results.json').unlink()
    for path in files_of(run)[::2]:
        path.unlink()
    assert train(run) == 0
    assert 'step 30 is damaged' in capfd.readouterr().err
    assert_same_end(whole, run)
    tally('half-deleted step', survived=1)


def test_without_any_good_checkpoint_it_refuses(tmp_path, whole, tally, capfd):
    run = pathlib.Path(shutil.copytree(whole, tmp_path / 'run'))
    (run / 'results.json').unlink()
    for step in (20, 30):
        shutil.rmtree(run / 'checkpoints' / str(step) / 'state')
    assert train(run) == 2
    assert 'All checkpoints in' in capfd.readouterr().err
    tally('all checkpoints damaged', survived=1)
