"""A run that is killed and resumed ends, bit by bit, as one that was never stopped."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

import main
from tests.in_turn import alone, on_devices
from tests.run_ends import assert_same_end
from trainer.checkpoints import CheckpointStore

ROOT = pathlib.Path(__file__).resolve().parents[1]
EIGHT = '--xla_force_host_platform_device_count=8'

MLP = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=20', '--gin.MLP.dropout=0.3']
RESNET = ['--gin_file=configs/resnet18.gin', '--gin.EPOCHS=2', '--gin.BATCH=32']
TINY = ['--gin_file=tests/faults/tiny_resnet.gin', '--gin.EPOCHS=20']
OFTEN = ['--gin.Experiment.save_every=0.3', '--gin.Experiment.log_every=3']


def start(workdir, arguments, **env):
    command = [sys.executable, 'main.py', f'--workdir={workdir}', *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(workdir, arguments, **env):
    process = start(workdir, arguments, **env)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def committed(workdir):
    return CheckpointStore(workdir / 'checkpoints').steps()


def stop_after(workdir, arguments, step, number, *, watched=None, **env):
    """Sends a signal as soon as a checkpoint of at least `step` is there."""
    process = start(workdir, arguments, **env)
    watched = watched or workdir
    while process.poll() is None and not any(s >= step for s in committed(watched)):
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.05))
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


@pytest.mark.slow
@pytest.mark.parametrize(
    ('arguments', 'steps'), [(MLP, 200), (RESNET, 80)], ids=['mlp', 'resnet']
)
def test_sigkill_at_three_random_points(tmp_path, arguments, steps):
    """As faults/test_kills.py has it of small nets on every change, at full width."""
    arguments = [*arguments, *OFTEN]
    finish(tmp_path / 'whole', arguments)
    seed = random.randrange(2**32)
    print(f'kill points from random seed {seed}')
    points = sorted(random.Random(seed).sample(range(1, steps - 10), 3))
    for point in points:
        stop_after(tmp_path / 'killed', arguments, point, signal.SIGKILL)
    finish(tmp_path / 'killed', arguments)
    assert_same_end(tmp_path / 'whole', tmp_path / 'killed')


def test_sigkill_on_eight_devices(tmp_path):
    arguments = [*MLP, *OFTEN, '--gin.EPOCHS=6']
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    stop_after(
        killed, arguments, random.randrange(1, 50), signal.SIGKILL, XLA_FLAGS=EIGHT
    )
    on_devices(8, *([*arguments, f'--workdir={run}'] for run in (killed, whole)))
    assert_same_end(whole, killed)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run of the tiny residual net that nothing befell."""
    workdir = tmp_path_factory.mktemp('whole') / 'run'
    alone(workdir, *TINY, *OFTEN)
    return workdir


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path, whole, number, capfd):
    arguments = [*TINY, *OFTEN]
    code, output = stop_after(tmp_path / 'stopped', arguments, 12, number)
    assert code == 75, output
    assert 'the same command goes on' in output
    saved = committed(tmp_path / 'stopped')[-1]
    assert f'saved at step {saved}' in output
    output = again(tmp_path / 'stopped', capfd, *arguments)
    assert f'going on from step {saved} of' in output
    assert_same_end(whole, tmp_path / 'stopped')


def again(workdir, capfd, *arguments):
    """What a run says to this process that trains it."""
    assert main.main(['main.py', f'--workdir={workdir}', *arguments]) == 0
    return ''.join(capfd.readouterr())


def test_a_finished_run_says_so(tmp_path, capfd):
    arguments = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=1']
    again(tmp_path / 'run', capfd, *arguments)
    before = (tmp_path / 'run' / 'results.json').read_bytes()
    assert 'is finished' in again(tmp_path / 'run', capfd, *arguments)
    assert (tmp_path / 'run' / 'results.json').read_bytes() == before


def test_more_epochs_go_on_and_say_so(tmp_path, capfd):
    again(tmp_path / 'run', capfd, '--gin_file=configs/mlp.gin', '--gin.EPOCHS=1')
    output = again(tmp_path / 'run', capfd, '--gin.EPOCHS=2')
    assert 'epochs were 1, are 2: the schedule is computed anew' in output
    assert json.loads((tmp_path / 'run' / 'results.json').read_text())['step'] == 20
