"""What is hung ends itself, and leaves its stacks in its log."""

import pathlib
import subprocess
import sys
import time

import pytest

from tests.run_ends import assert_same_end

ROOT = pathlib.Path(__file__).resolve().parents[1]
MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=3']
WATCH = """
import ctypes, sys, time
from trainer import signals, watchdog
limits = watchdog.Watchdog(step={step}, phase={phase}, grace=0.4)
stop = signals.Stop()
with watchdog.watched(limits, sys.argv[1], stop):
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


def test_who_gives_signs_of_life_is_left_alone(tmp_path):
    body = '[(watchdog.beat("a step"), time.sleep(0.05)) for _ in range(20)]'
    done = python(WATCH.format(step=0.3, phase=0.3, body=body), tmp_path / 'log')
    assert (done.returncode, done.stdout) == (0, 'went well\n')
    body = 'time.sleep(0.5)'
    done = python(WATCH.format(step=None, phase=None, body=body), tmp_path / 'log')
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


def test_a_hung_run_goes_on_where_it_was(tmp_path, juniper):
    assert juniper(*MLP, f'--workdir={tmp_path / "whole"}').returncode == 0
    hung = tmp_path / 'hung'
    limit = ['--gin.Watchdog.step=1', '--gin.Watchdog.phase=60']
    done = python(HANG, *MLP, *limit, f'--workdir={hung}')
    assert done.returncode == 70
    assert 'error: a step has taken over' in done.stderr
    assert 'in hang' in (hung / 'log.txt').read_text()
    done = juniper(*MLP, f'--workdir={hung}')
    assert 'going on from step 10' in done.stdout
    assert_same_end(tmp_path / 'whole', hung)


def test_a_sign_of_life_costs_next_to_nothing(tmp_path):
    from trainer import watchdog

    with watchdog.watched(watchdog.Watchdog(), tmp_path / 'log'):
        started = time.process_time()
        for _ in range(10_000):
            watchdog.beat('a step')
        each = (time.process_time() - started) / 10_000
    print(f'{1e6 * each:.1f} us')
    assert not (tmp_path / 'log').read_text()
