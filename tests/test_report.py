"""The page of a run: all sections, for runs of every fate, whatever they are called."""

import json
import re
import subprocess
import sys

import pytest

from tests.written_runs import HOSTILE, times, write_run
from trainer import evidence, rundir
from trainer.chronicle import Chronicle
from trainer.phases import Phases
from trainer.report import classes, cost, settings, write
from trainer.report.page import LIMIT
from trainer.report.records import Record

SECTIONS = ('verdict', 'curves', 'classes', 'calibration')
SECTIONS += ('cost', 'data', 'config', 'commands')


def test_a_finished_run_has_every_section(tmp_path):
    html = write.write_report(write_run(tmp_path / 'run')).read_text()
    assert [name for name in SECTIONS if f'<section id="{name}">' in html] == [
        *SECTIONS
    ]
    assert len(html) < LIMIT and 'http-equiv="refresh"' not in html
    for words in ('0.5000', 'finished', '54 of 60', 'MFU', 'cat.gin:3', 'owl'):
        assert words in html


def test_names_that_are_markup_stay_text(tmp_path):
    run = write_run(tmp_path / 'run<b>', names=(HOSTILE, 'b"onload="x', "c'&amp;"))
    html = write.write_report(run).read_text()
    assert '<script' not in html and '<img src=http' not in html and '<b>' not in html
    assert not re.findall(r'<[^>]*\sonload=', html)


@pytest.mark.parametrize(
    'lost', [[rundir.METRICS], [rundir.RESULTS, rundir.TIMES], ['evidence/test.npz']]
)
@pytest.mark.parametrize('content', [None, 'no { JSON', ''])
def test_what_is_missing_or_damaged_is_left_out(tmp_path, lost, content):
    run = write_run(tmp_path / 'run')
    for name in lost:
        (run / name).unlink()
        if content is not None:
            (run / name).write_text(content)
    assert '<section id="commands">' in write.report(Record(run))


def test_numbers_are_those_of_the_results(tmp_path):
    record = Record(write_run(tmp_path / 'run'))
    assert record.scores == {'val/loss': 1 / 30, 'test/loss': 0.5, 'test/acc_top1': 0.9}
    counts = classes.confusion(record.evidence[1], 3)
    assert counts.trace() / counts.sum() == record.results['test/acc_top1']
    assert cost.seconds_of(record) == times()['seconds']
    assert ('MFU', '0.0% of 275 TFLOP/s (dense bfloat16)') in cost.facts(record)
    assert dict(cost.facts(record))['step time'].endswith(' ms (p95)')


def test_what_was_changed_has_its_default_and_its_place(tmp_path):
    record = Record(write_run(tmp_path / 'run'))
    assert settings.changes(record) == [['optimizer.rate', '0.1', '0.2', 'cat.gin:3']]


def test_runs_beside_a_run_tell_how_sure_its_score_is(tmp_path):
    for seed, score in enumerate((0.4, 0.5, 0.6)):
        write_run(tmp_path / f'run{seed}', seed=seed, score=score)
    write_run(tmp_path / 'other', rate=0.9, score=7.5)
    html = write.report(Record(tmp_path / 'run0'))
    assert 'Over seeds' in html and '0.1000' in html and '7.5000' not in html


def test_the_command_writes_the_page_without_jax(tmp_path):
    run = write_run(tmp_path / 'run')
    script = (
        'import sys, main\n'
        'code = main.main(["main.py", "report", sys.argv[1]])\n'
        'print("jax" in sys.modules); sys.exit(code)'
    )
    done = subprocess.run(
        [sys.executable, '-c', script, str(run)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(run / rundir.REPORT), 'False']


class TestChronicle:
    def begun(self, run):
        chronicle = Chronicle(run, Phases(quiet=True))
        chronicle.begin(0, {'device': 'cpu'})
        return chronicle

    def test_the_page_is_written_however_the_run_ends(self, tmp_path):
        run = write_run(tmp_path / 'run')
        with pytest.raises(ZeroDivisionError), self.begun(run) as chronicle:
            with chronicle.timed('evaluation'):
                pass
            chronicle.evaluated(7, {'val': lambda: {'label': [1, 2]}})
            raise ZeroDivisionError
        assert (run / rundir.REPORT).exists()
        assert evidence.read(run, 'val')['step'] == 7
        seconds = json.loads((run / rundir.TIMES).read_text())[-1]['seconds']
        assert {'evaluation', 'steps', 'other'} <= seconds.keys()

    def test_a_page_that_fails_warns_once_and_stops_nothing(
        self, tmp_path, monkeypatch, capsys
    ):
        def fail(directory):
            raise OSError('the disk is full')

        monkeypatch.setattr(write, 'write_report', fail)
        with self.begun(write_run(tmp_path / 'run')) as chronicle:
            chronicle.evaluated(1, {'val': lambda: 1 / 0})
        assert capsys.readouterr().err.count('could not be made') == 1

    def test_while_a_run_lives_its_page_is_no_dearer_than_its_share(self, tmp_path):
        chronicle = self.begun(write_run(tmp_path / 'run'))
        for step in range(5):
            chronicle.evaluated(step, {})
        assert chronicle.spent == 0  # the run is too young
        chronicle.phases.started -= 1000
        chronicle.evaluated(6, {})
        assert chronicle.spent > 0
        chronicle.__exit__()
