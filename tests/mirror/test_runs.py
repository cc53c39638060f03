"""Real runs with an address: killed, their disk wiped, and gone on with elsewhere."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

import main
from tests.mirror.machines import content, index_of, objects, steps
from tests.run_ends import assert_same_end
from tests.several import Several
from trainer import places, rundir, which_run
from trainer.errors import SaveFailed
from trainer.experiment import load
from trainer.mirror import bucket, keeping
from trainer.mirror.index import INDEX, OWNER
from trainer.signals import Stop
from trainer.train import train

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=16']
SMALL += ['--gin.Experiment.pictures=0']
LONG = [*SMALL, '--gin.EPOCHS=40', '--gin.MLP.dropout=0.3']
LONG += ['--gin.Experiment.eval_every=5', '--gin.Experiment.log_every=5']


def said(capsys, *words):
    """What a command says that ends well, done by this process."""
    capsys.readouterr()
    code = main.main(['main.py', *words])
    output = capsys.readouterr()
    assert code == 0, output.err
    return output.out


def published(address):
    """The newest step that the bucket names."""
    named = index_of(address)['checkpoints']
    return max((int(name.rpartition('/')[2]) for name in named), default=0)


def kill(address):
    """Starts a run and kills it as soon as a checkpoint is published; its step."""
    command = [sys.executable, 'main.py', f'--workdir={address}', *LONG]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and not published(address):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return published(address)


def test_killed_with_its_disk_it_ends_as_one_that_never_was(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv('JUNIPER_MIRRORS', str(tmp_path / 'disk'))
    address = f'file://{tmp_path}/bucket/run'
    step = kill(address)
    shutil.rmtree(tmp_path / 'disk')
    output = said(capsys, *LONG, f'--workdir={address}')
    assert f'going on from step {step:,} of 400' in output
    assert f'checkpoints/{step} in ' in output
    said(capsys, *LONG, f'--workdir={tmp_path / "whole"}')
    assert_same_end(tmp_path / 'whole', places.local(address))
    there = content(tmp_path / 'bucket' / 'run')
    assert there.keys() - {INDEX, OWNER} == content(places.local(address)).keys()
    monkeypatch.setenv('JUNIPER_MIRRORS', str(tmp_path / 'third'))
    assert_same_end(tmp_path / 'whole', which_run.find(address, 'all'))


@pytest.mark.slow
def test_several_processes_share_the_near_side(tmp_path, monkeypatch):
    monkeypatch.setenv('JUNIPER_MIRRORS', str(tmp_path / 'disk'))
    address = f'file://{tmp_path}/bucket/run'
    Several([*LONG, f'--workdir={tmp_path / "whole"}'], devices=1).done()
    killed = Several([*LONG, f'--workdir={address}'], devices=1)
    killed.wait_for(lambda: published(address))
    killed.processes[0].send_signal(signal.SIGKILL)
    assert killed.ends()[0][0] == -signal.SIGKILL
    step = published(address)
    shutil.rmtree(tmp_path / 'disk')
    output = Several([*LONG, f'--workdir={address}'], devices=1).done()
    assert f'going on from step {step} of 400' in output
    shutil.rmtree(tmp_path / 'disk')
    assert_same_end(tmp_path / 'whole', which_run.find(address, 'all'))


@pytest.fixture
def short(address, tmp_path, monkeypatch):
    """Trains two epochs at an address, by this process."""
    monkeypatch.setenv('JUNIPER_MIRRORS', str(tmp_path / 'here'))
    monkeypatch.setattr(keeping, 'LOOK', 0.01)
    bindings = ['MLP.hidden_dim = 16', 'EPOCHS = 2', 'Experiment.pictures = 0']
    experiment = load(['configs/mlp.gin'], bindings)
    return lambda: train(experiment, address, stop=Stop())


def test_what_could_not_be_published_is_without_training(
    short, address, tmp_path, monkeypatch
):
    upload = bucket.Bucket.upload

    def full(self, source, name):
        if 'checkpoints/20' in name:
            raise bucket.BucketError(OSError(28, 'No space left on device'))
        upload(self, source, name)

    with monkeypatch.context() as patched:
        patched.setattr(bucket.Bucket, 'upload', full)
        with pytest.raises(SaveFailed, match='no space left on device'):
            short()
    assert published(address) < 20
    place = places.local(address)
    log = (place / rundir.METRICS).read_bytes()
    results = short()
    assert results == json.loads((place / rundir.RESULTS).read_bytes())
    assert published(address) == 20 and (place / rundir.METRICS).read_bytes() == log
    shutil.rmtree(place)
    assert short() == results


def test_commands_take_the_address(short, address, tmp_path, monkeypatch, capsys):
    short()
    there = index_of(address)['checkpoints']
    monkeypatch.setenv('JUNIPER_MIRRORS', str(tmp_path / 'there'))
    monkeypatch.chdir(tmp_path)
    place = places.local(address)

    cv2.imwrite('white.png', np.full((8, 8), 255, np.uint8))
    said(capsys, 'check', f'--workdir={address}')
    assert steps(place) == []
    assert str(place) in said(capsys, 'report', address)
    page = (place / rundir.REPORT).read_text()
    assert f'predict IMAGES --workdir={address}' in page
    said(capsys, 'evaluate', f'--workdir={address}', '--checkpoint=10')
    assert steps(place) == [10] and 'evaluation_test.json' in objects(address)
    assert 'white.png' in said(capsys, 'predict', 'white.png', f'--workdir={address}')
    rows = json.loads(said(capsys, 'checkpoints', address, '--json'))
    assert {row['step'] for row in rows} == set(steps(place)) == {10, 20}
    assert 'finished' in said(capsys, 'compare', address)
    assert index_of(address)['checkpoints'] == there
    assert main.main(['main.py', 'runs', address]) == 2
    assert 'runs lists directories' in capsys.readouterr().err


def test_a_supervised_run_is_watched_where_it_lives(tmp_path, monkeypatch):
    watched = []
    monkeypatch.setenv('JUNIPER_MIRRORS', str(tmp_path))
    monkeypatch.setattr(
        'trainer.commands.supervise', lambda *_: watched.append(_[-1]) or 0
    )
    for flag in ('workdir', 'resume'):
        words = [*SMALL, '--restarts=2', f'--{flag}=gs://bucket/run']
        assert main.main(['main.py', *words]) == 0
    assert watched == [places.local('gs://bucket/run')] * 2
    assert not list(tmp_path.iterdir())
