"""What is hung ends itself, and leaves its stacks in its log."""

import dataclasses
import functools
import pathlib
import subprocess
import sys
import threading
import time

import pytest
from PIL import Image

import main
from tests.run_ends import assert_same_end
from trainer import bench, feeding, guard, predict, range_test, watchdog
from trainer.console import Console
from trainer.experiment import load
from trainer.signals import Stop
from trainer.train import train

ROOT = pathlib.Path(__file__).resolve().parents[1]
MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=3']
TINY = ['MLP.hidden_dim = 8', 'Experiment.pictures = 0']
WATCH = """
import ctypes, sys, time
from trainer import signals, watchdog
limits = watchdog.Watchdog(step={step}, phase={phase}, grace=0.4)
stop, log = signals.Stop(), sys.argv[1] if sys.argv[1:] else None
with watchdog.watched(limits, log, stop):
    {body}
print('went well')
"""
HANG = """
import sys, time
import main
from trainer.job import Job
batches = Job.train_batches
def hang(self, step, skipped):
    for number, batch in enumerate(batches(self, step, skipped), step):
        if number == 15:
            time.sleep(60)
        yield batch
Job.train_batches = hang
sys.exit(main.main(['main.py', *sys.argv[1:]]))
"""


def python(code, *arguments):
    command = [sys.executable, '-c', code, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ('body', 'code', 'said'),
    [
        ('time.sleep(60)', 70, 'the start has taken over 0.3 s'),
        ('watchdog.beat("a step"); time.sleep(60)', 70, 'a step has taken over 0.2 s'),
        ('ctypes.PyDLL(None).sleep(60)', 1, 'Timeout'),  # it holds Python's lock
    ],
    ids=['phase', 'step', 'native'],
)
def test_it_ends_and_says_where(tmp_path, body, code, said):
    log = tmp_path / 'log.txt'
    done = python(WATCH.format(step=0.2, phase=0.3, body=body), log)
    assert done.returncode == code
    text = log.read_text()
    assert said in text and 'File "<string>", line 7 in <module>' in text
    if code == 70:
        (line,) = done.stderr.splitlines()
        assert line.startswith('error: ') and str(log) in line


def test_without_a_log_the_stacks_stand_above_the_error():
    done = python(WATCH.format(step=0.2, phase=0.3, body='time.sleep(60)'))
    assert done.returncode == 70
    *stacks, line = done.stderr.splitlines()
    assert '  File "<string>", line 7 in <module>' in stacks
    assert line == (
        'error: the start has taken over 0.3 s and is taken for hung; its stacks stand '
        'above; the same command begins anew.'
    )


def test_who_gives_signs_of_life_is_left_alone(tmp_path):
    body = '[(watchdog.beat("a step"), time.sleep(0.05)) for _ in range(20)]'
    done = python(WATCH.format(step=0.3, phase=0.3, body=body), tmp_path / 'log')
    assert (done.returncode, done.stdout) == (0, 'went well\n')
    body = 'time.sleep(0.5)'
    done = python(WATCH.format(step=None, phase=None, body=body), tmp_path / 'log')
    assert (done.returncode, done.stderr) == (0, '')
    body = 'watchdog.beat("a batch"); watchdog.rest(); time.sleep(0.8)'  # for a pager
    done = python(WATCH.format(step=0.3, phase=0.3, body=body), tmp_path / 'log')
    assert (done.returncode, done.stderr) == (0, '')


def test_a_slow_step_is_no_hung_step(tmp_path):
    body = '[(watchdog.beat("a step"), time.sleep(0.2)) for _ in range(12)]\n    '
    body += 'time.sleep(1)'
    done = python(WATCH.format(step=0.3, phase=5, body=body), tmp_path / 'log')
    assert done.returncode == 0


def test_after_a_signal_the_end_may_take_its_grace_and_no_longer(tmp_path):
    body = 'stop(15, None)\n    '
    body += '[(watchdog.beat("a step"), time.sleep(0.02)) for _ in range(900)]'
    log = tmp_path / 'log'
    done = python(WATCH.format(step=60, phase=60, body=body), log)
    assert done.returncode == 70
    assert 'the end after SIGTERM has taken over 0.4 s' in done.stderr
    assert 'in <listcomp>' in log.read_text()
    body = 'stop(15, None); time.sleep(0.1)'
    assert python(WATCH.format(step=60, phase=60, body=body), log).returncode == 0


def test_a_hung_run_goes_on_where_it_was(tmp_path, here):
    assert here(*MLP, f'--workdir={tmp_path / "whole"}').returncode == 0
    hung = tmp_path / 'hung'
    limit = ['--gin.Watchdog.step=3', '--gin.Watchdog.phase=600']  # on a busy machine
    done = python(HANG, *MLP, *limit, f'--workdir={hung}')
    assert done.returncode == 70
    assert 'error: a step has taken over' in done.stderr
    assert 'in hang' in (hung / 'log.txt').read_text()
    done = here(*MLP, f'--workdir={hung}')
    assert 'going on from step 10' in done.stdout
    assert_same_end(tmp_path / 'whole', hung)


@pytest.fixture
def hung(monkeypatch):
    """What was taken for hung: the second batch comes only then, and nothing ends."""
    noticed, found = threading.Event(), []

    def end(self, what, limit):
        found.append(what)
        self.close()
        noticed.set()

    def late(read):
        def batches(*given):
            for number, batch in enumerate(read(*given)):
                assert number != 1 or noticed.wait(60)
                yield batch

        return batches

    def soon(limits, **given):
        return watchdog.watched(dataclasses.replace(limits, step=0.2), **given)

    monkeypatch.setattr(watchdog, 'NATIVE', 1000)  # that one would end the tests
    monkeypatch.setattr(watchdog.Watch, '_end', end)
    monkeypatch.setattr(guard, 'watched', soon)
    for room, name in (
        *((feeding, 'train_batches'), (feeding, 'eval_batches'), (predict, '_read')),
    ):
        monkeypatch.setattr(room, name, late(getattr(room, name)))
    return found


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp('runs') / 'mlp'
    train(load(['configs/mlp.gin'], [*TINY, 'EPOCHS = 1']), directory)
    return directory


@pytest.mark.parametrize(
    'measure',
    [
        functools.partial(bench.bench, seconds=0.1),
        functools.partial(range_test.range_test, out=None),
    ],
    ids=['bench', 'lr_find'],
)
def test_what_measures_is_watched(measure, hung):
    given = {'stop': Stop(), 'console': Console(quiet=True)}
    measure(load(['configs/mlp.gin'], TINY), **given)
    assert hung == ['a step']


@pytest.mark.parametrize(
    ('command', 'said'),
    [('evaluate', 'a batch of evaluation'), ('predict', 'a batch of pictures')],
)
def test_what_scores_and_predicts_is_watched(command, said, run, hung, tmp_path):
    words = ['main.py', command, f'--workdir={run}']
    if command == 'predict':
        for name in ('a.png', 'b.png'):
            Image.new('L', (8, 8)).save(tmp_path / name)
        words.append(str(tmp_path))
    assert main.main(words) == 0
    assert hung == [said]


def test_a_sign_of_life_costs_next_to_nothing(tmp_path):
    with watchdog.watched(watchdog.Watchdog(), tmp_path / 'log'):
        started = time.process_time()
        for _ in range(10_000):
            watchdog.beat('a step')
        each = (time.process_time() - started) / 10_000
    print(f'{1e6 * each:.1f} us')
    assert not (tmp_path / 'log').read_text()
