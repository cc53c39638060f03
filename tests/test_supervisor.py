"""A run that is killed is started again; one that gets nowhere is not."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

import main
from trainer import supervisor
from trainer.errors import INTERRUPTED, TRAINING_FAILED, USER_ERROR

DIE_AT = """
import os, pathlib, signal, sys
steps = pathlib.Path(sys.argv[1]) / 'checkpoints'
done = len(list(steps.iterdir())) if steps.exists() else 0
if done == 4:
    sys.exit(0)
(steps / str(done + 1)).mkdir(parents=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
ROOT = pathlib.Path(main.__file__).parent


@pytest.fixture
def program(tmp_path):
    """A file with a program, to be supervised."""

    def write(code):
        path = tmp_path / 'program.py'
        path.write_text(code)
        return [str(path), str(tmp_path)]

    return write


def test_it_is_started_again_while_it_gets_on(tmp_path, program, capfd):
    assert supervisor.supervise(program(DIE_AT), 10, tmp_path) == 0
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == 'warning: the run ended with code 137; restart 1 of 10.'
    assert len(lines) == 4


def test_restarts_are_counted(tmp_path, program, capfd):
    assert supervisor.supervise(program(DIE_AT), 2, tmp_path) == 137
    assert 'all 2 restarts are used up' in capfd.readouterr().err


def test_a_run_that_gets_nowhere_stays_ended(tmp_path, program, capfd):
    assert supervisor.supervise(program('import os; os._exit(70)'), 99, tmp_path) == 70
    *_, last = capfd.readouterr().err.splitlines()
    assert '3 times without a newer checkpoint: it stays ended' in last


@pytest.mark.parametrize('code', [USER_ERROR, TRAINING_FAILED, INTERRUPTED])
def test_an_ending_with_a_reason_is_one(tmp_path, program, code, capfd):
    words = program(f'import sys; sys.exit({code})')
    assert supervisor.supervise(words, 9, tmp_path) == code
    assert capfd.readouterr().err == ''


def test_signals_are_passed_on(tmp_path):
    code = (
        'import pathlib, sys\n'
        'from trainer.supervisor import supervise\n'
        'child = pathlib.Path(sys.argv[1]) / "child.py"\n'
        'child.write_text("import signal, sys, time\\n"\n'
        '  "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\\n"\n'
        '  "print(1, flush=True); time.sleep(60)")\n'
        'sys.exit(supervise([str(child)], 5, child.parent))\n'
    )
    command = [sys.executable, '-c', code, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == '1\n'
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
    process.stdout.close()


def test_the_flag_itself_is_not_passed_on():
    words = ['main.py', '--restarts', '3', '--workdir=a', '--restarts=2', 'restarts=1']
    kept = supervisor.without_restarts(words)
    assert kept == ['main.py', '--workdir=a', 'restarts=1']


def test_it_must_know_which_run(capsys):
    assert main.main(['main.py', '--gin_file=configs/mlp.gin', '--restarts=1']) == 2
    assert '--restarts needs the run' in capsys.readouterr().err


def test_a_supervised_run_trains(tmp_path, juniper):
    small = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=1']
    done = juniper(*small, '--restarts=1', f'--workdir={tmp_path / "run"}')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'run' / 'results.json').exists()


@pytest.mark.timeout(180)
def test_a_run_stops_and_saves_when_its_supervisor_is_killed(tmp_path):
    """Its output ends when it has; nobody else has that pipe's end any more."""
    long = ['--gin_file=configs/mlp.gin', '--gin.EPOCHS=5000', '--restarts=1']
    command = [sys.executable, 'main.py', *long, f'--workdir={tmp_path}']
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        while 'step 10/' not in (line := process.stdout.readline()):
            assert line
        process.kill()
        rest = process.stdout.read()
    assert 'warning: what was to start this run again (--restarts) has gone' in rest
    step = supervisor.newest(tmp_path)
    assert f'SIGTERM, saved at step {step:,}; the same command goes on' in rest
