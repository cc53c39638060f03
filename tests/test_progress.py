"""A bar tells how far a run is, on a terminal and elsewhere, and nothing breaks it."""

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from trainer import phases, progress, provenance, screen
from trainer.console import Console
from trainer.progress import ProgressBar


@pytest.fixture(autouse=True)
def no_bar_afterwards():
    """No bar outlives a test that failed."""
    yield
    screen.screen.bar = None


def test_without_a_terminal_the_bar_is_a_line_an_interval(capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    bar = ProgressBar(2000, steps_per_epoch=20)
    bar.begin(1)
    now[0] += 2
    numbers = {'train/loss': 0.5, 'train/acc_top1': None, 'learning_rate': 0.1}
    speed = {'perf/images_per_second': 12345.6, 'perf/mfu': 0.4123}
    speed |= {'perf/step_ms_p50': 10.37, 'perf/input_wait': 0.034}
    bar.update(11, numbers | speed)
    bar.evaluated(20, {'val/loss': 0.25, 'val/acc_top1': 0.75, 'val/acc_class_0': 1.0})
    bar.close()
    assert capsys.readouterr().out.splitlines() == [
        'step 11/2,000  epoch 0.6/100  loss 0.5000  acc -  images/s 12,346  '
        'MFU 41.2%  ETA 6 min 38 s',
        'step 20/2,000  epoch 1.0/100  val acc 0.7500  val loss 0.2500  ETA 3 min 28 s',
    ]


def test_the_time_left_excludes_compilation(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    bar = ProgressBar(total=111, start=10)
    now[0] += 300  # compilation
    bar.begin(11)
    assert bar.seconds_left is None
    now[0] += 5
    bar.advance(16)
    assert bar.seconds_left == pytest.approx(95)
    bar.close()


def test_slow_steps_are_not_silent(capsys, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    with ProgressBar(total=100) as bar:
        bar.update(1, {'train/loss': 2.0})
        capsys.readouterr()
        for step in range(2, 8):
            now[0] += 4
            bar.advance(step)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split('  ')[0] for line in lines] == ['step 4/100', 'step 7/100']
    assert 'loss 2.0000' in lines[0]
    assert 'ETA 6 min 24 s' in lines[0]


def test_a_phase_under_a_bar_is_mentioned_only_if_long(capsys, monkeypatch):
    console = Console()
    with console.bar(10) as bar:
        bar.begin(1)
        with console.phases('evaluate'):
            pass
        assert capsys.readouterr().out == ''
        monkeypatch.setattr(phases, 'HEARTBEAT_SECONDS', 0.05)
        with console.phases('evaluate'):
            time.sleep(0.2)
    assert re.fullmatch(
        r'(evaluate \.\.\. \d s \.\.\.\n)+evaluate \.\.\. [\d.]+ s\n',
        capsys.readouterr().out,
    )


def test_a_wide_bar_says_how_long_steps_take_and_wait(monkeypatch):
    size = os.terminal_size((200, 24))
    monkeypatch.setattr(progress.shutil, 'get_terminal_size', lambda *_, **__: size)
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    with ProgressBar(total=100) as bar:
        bar.begin(1)
        speed = {'perf/step_ms_p50': 10.37, 'perf/input_wait': 0.034}
        speed |= {'perf/step_ms_p95': 12.34, 'perf/peak_host_mib': 1234.5}
        bar.update(5, {'train/loss': 2.0, 'perf/images_per_second': 99.5} | speed)
        shown = bar._what_fits()
    assert shown == (
        'loss 2.0000  images/s 99.5000  ms a step 10.4  p95 12.3  waiting 3%  MiB 1,234'
    )


SCENE = """
import threading, time
now = [1000.0]  # a clock of its own: half a second a step, whatever else runs here
time.time = time.monotonic = time.perf_counter = lambda: now[0]
from trainer.console import Console
console = Console()
with console.phases('first step'):
    bar = console.bar(40, steps_per_epoch=20)
    bar.begin(1)
for step in range(2, 41):
    now[0] += 0.5
    bar.advance(step)
    if step == 20:
        console.say('in between')
        bar.update(step, {'train/loss': 0.5, 'perf/images_per_second': 4321.0})
        bar.evaluated(step, {'val/loss': 0.25, 'val/acc_top1': 0.875})
bar.close()
console.say('after')
"""


def play(code, columns):
    """What a program writes to a terminal of so many columns."""
    master, slave = pty.openpty()
    env = os.environ | {'COLUMNS': str(columns), 'TERM': 'xterm'}
    command = [sys.executable, '-c', code]
    where = {'cwd': provenance.SOURCE, 'env': env}
    with subprocess.Popen(command, stdout=slave, stderr=slave, **where) as process:
        os.close(slave)
        seen = b''
        while chunk := read_some(master):
            seen += chunk
    os.close(master)
    assert process.returncode == 0, seen
    return seen.decode().replace('\r\n', '\n')


def read_some(terminal):
    """Bytes from a terminal; none once its program has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b''


def test_on_a_terminal_a_bar_is_drawn_and_messages_stay_whole():
    lines = [line.split('\r')[-1].rstrip() for line in play(SCENE, 120).split('\n')]
    assert 'in between' in lines
    assert lines[-2:] == ['after', '']
    assert re.match(r'epoch \d\.\d/2 +100% \|.*\| 40/40 \[00:19 < 00:00', lines[-3])
    assert 'loss 0.5000  images/s 4,321  val acc 0.8750' in lines[-3]
    assert lines[:2] == ['first step ...', 'first step ... 0.00 s']


def test_a_narrow_terminal_shows_the_first_numbers_whole():
    lines = [line.split('\r')[-1].rstrip() for line in play(SCENE, 80).split('\n')]
    assert re.fullmatch(
        r'100% \|.{6}\| ETA 00:00, loss 0\.5000  images/s 4,321  val acc 0\.8750',
        lines[-3],
    )


def test_a_part_of_an_epoch_is_a_short_number():
    bar = ProgressBar(2, steps_per_epoch=18)
    assert bar._epoch(2) == 'epoch 0.1/0.11'
    bar.close()
