"""A run leaves its page however it ends: done, by an error, by a signal, killed."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests.written_runs import HOSTILE
from trainer import evidence, rundir
from trainer.errors import Interrupted
from trainer.experiment import load
from trainer.report import classes, write
from trainer.report.records import Record
from trainer.train import train

SMALL = ['MLP.hidden_dim = 16', 'EPOCHS = 5']  # of 10 steps
KILLED = """
import os, signal, sys
from tests.test_report_endings import at, small
from trainer.train import train
train(small(at(30, lambda: os.kill(os.getpid(), signal.SIGKILL))), sys.argv[1])
"""


def small(*hooks):
    return dataclasses.replace(load(['configs/mlp.gin'], SMALL), hooks=hooks)


def at(step, happens):
    """A hook that lets something happen at a step."""

    def hook(now, state, metrics):
        if now >= step:
            happens()

    return hook


def fail():
    raise RuntimeError(HOSTILE)


def page_of(run):
    return (run / rundir.REPORT).read_text()


def test_a_finished_run_has_a_page_with_the_numbers_of_its_results(tmp_path):
    results = train(small(), tmp_path / 'run')
    html, record = page_of(tmp_path / 'run'), Record(tmp_path / 'run')
    assert f'{results["test/loss"]:.4f}' in html and '>finished<' in html
    for where in ('val', 'test'):
        arrays = evidence.read(tmp_path / 'run', where)
        assert arrays['step'] == results['best/step']
        counts = classes.confusion(arrays, 10)
        top1 = results[f'{where}/acc_top1']
        assert counts.trace() / counts.sum() == pytest.approx(top1, abs=1e-12)
        recall = classes.class_scores(counts)['recall']
        wanted = [results[f'{where}/acc_class_{i}'] for i in range(10)]
        assert recall.tolist() == pytest.approx(wanted)
    assert record.origins['epochs'] == 'command line'
    (times,) = json.loads((tmp_path / 'run' / rundir.TIMES).read_text())
    assert {'data', 'trace', 'compile', 'steps', 'evaluation'} <= times[
        'seconds'
    ].keys()
    assert times['memory']['host'] > 0 and times['flops_per_step'] > 0


def test_a_run_that_fails_says_so_on_its_page(tmp_path):
    with pytest.raises(RuntimeError):
        train(small(at(30, fail)), tmp_path / 'run')
    html = page_of(tmp_path / 'run')
    assert 'failed at step' in html and 'Traceback' in html and 'Go on' in html
    assert '<script' not in html


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_says_how_to_go_on(tmp_path, number):
    stop = at(30, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted):
        train(small(stop), tmp_path / 'run')
    html = page_of(tmp_path / 'run')
    assert 'interrupted at step' in html and 'resumable' in html and 'Go on' in html


def test_a_page_can_be_made_of_a_run_that_was_killed(tmp_path):
    run = tmp_path / 'run'
    command = [sys.executable, '-c', KILLED, str(run)]
    root = pathlib.Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert not (run / rundir.REPORT).exists()
    html = write.write_report(run).read_text()
    assert 'crashed at step' in html and 'Go on' in html
    assert 'http-equiv="refresh"' not in html
