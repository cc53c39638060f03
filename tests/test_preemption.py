"""Seven phases, four signals: the step is finished and saved, and nothing is lost."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

import main
from tests.run_ends import assert_same_end
from trainer import loop as loops
from trainer import train as trains
from trainer.checkpoints import CheckpointStore
from trainer.job import Job
from trainer.signals import stop_on_signals

MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=3']
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP]
PHASES = {  # what is called in a phase, at which call of it, and the step then saved
    'restore': (CheckpointStore, 'restore', 1, 15),
    'trace': (Job, 'wait_for_trace', 1, 15),
    'compile': (Job, 'compile_train_step', 1, 15),
    'train': (Job, 'fresh_metrics', 3, 17),
    'evaluate': (Job, 'eval_step', 1, 20),
    'save': (CheckpointStore, 'save', 1, 20),
}
# Every phase, and every signal: what is done of one in one phase is done of all.
MOMENTS = [*((phase, signal.SIGTERM) for phase in PHASES)]
MOMENTS += [('train', number) for number in SIGNALS if number != signal.SIGTERM]


def train(workdir, *arguments):
    return main.main(['main.py', *MLP, f'--workdir={workdir}', *arguments])


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nothing befell."""
    workdir = tmp_path_factory.mktemp('whole') / 'run'
    assert train(workdir) == 0
    return workdir


def interrupt(monkeypatch, owner, name, call, number):
    """Sends this process a signal at the n-th call of a function, before its work."""
    original, calls = getattr(owner, name), []

    def called(*arguments, **keywords):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return original(*arguments, **keywords)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize(('phase', 'number'), MOMENTS)
def test_no_step_is_lost(tmp_path, whole, phase, number, capfd, monkeypatch):
    run, (owner, name, call, _) = tmp_path / 'run', PHASES[phase]
    with monkeypatch.context() as patched:  # a run that stopped at step 15
        interrupt(patched, loops.Loop, 'evaluate_if_due', 16, signal.SIGTERM)
        assert train(run) == 75
    assert CheckpointStore(run / 'checkpoints').steps()[-1] == 15
    capfd.readouterr()
    with monkeypatch.context() as patched:
        interrupt(patched, owner, name, call, number)
        assert train(run, '--gin.Experiment.log_every=1') == 75
    said = capfd.readouterr().err
    saved = CheckpointStore(run / 'checkpoints').steps()[-1]
    assert f'{number.name}: finishing this step, then saving' in said
    assert f'interrupted: {number.name}, saved at step {saved};' in said
    assert saved == PHASES[phase][-1]
    assert train(run) == 0
    assert CheckpointStore(run / 'checkpoints').steps()[-1] == 30
    final = whole / 'results.json'
    assert (run / 'results.json').read_text() == final.read_text()


def test_before_there_is_a_directory_nothing_is_left(tmp_path, capfd, monkeypatch):
    interrupt(monkeypatch, trains, 'open_job', 1, signal.SIGINT)
    assert train(tmp_path / 'run') == 75
    assert 'SIGINT, before the first step; the same' in capfd.readouterr().err
    assert not (tmp_path / 'run').exists()


def test_a_run_begun_is_left_before_it_is_compiled(tmp_path, capfd, monkeypatch):
    interrupt(monkeypatch, Job, 'init_state', 1, signal.SIGINT)
    assert train(tmp_path / 'run') == 75
    said = capfd.readouterr()
    assert 'SIGINT, before the first step; the same' in said.err
    assert 'compile' not in said.out
    assert train(tmp_path / 'run') == 0


@pytest.mark.parametrize('handler', [signal.SIG_DFL, signal.SIG_IGN])
def test_nohup_outlives_its_terminal(handler):
    before = signal.signal(signal.SIGHUP, handler)
    try:
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert bool(stop) == (handler is signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_leaves_at_once():
    code = (
        'import os, signal\n'
        'from trainer.signals import stop_on_signals\n'
        'with stop_on_signals():\n'
        '    for _ in range(2):\n'
        '        os.kill(os.getpid(), signal.SIGINT)\n'
    )
    root = pathlib.Path(main.__file__).parent
    done = subprocess.run([sys.executable, '-c', code], cwd=root, check=False)
    assert done.returncode == 130


@pytest.mark.parametrize('number', SIGNALS, ids=lambda number: number.name)
def test_an_evaluation_is_left_and_writes_nothing(whole, number, capfd, monkeypatch):
    interrupt(monkeypatch, CheckpointStore, 'load', 1, number)
    before = sorted(whole.iterdir())
    assert main.main(['main.py', 'evaluate', f'--workdir={whole}']) == 75
    said = capfd.readouterr().err
    assert f'interrupted: {number.name}; nothing was written' in said
    assert sorted(whole.iterdir()) == before


def test_stopped_and_resumed_it_ends_as_if_not(tmp_path, whole, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt(patched, loops.Loop, 'evaluate_if_due', 18, signal.SIGUSR1)
        assert train(tmp_path / 'run') == 75
    assert train(tmp_path / 'run') == 0
    assert_same_end(whole, tmp_path / 'run')
