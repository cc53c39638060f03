"""A search leaves its page however it ends, and `report` writes it again."""

import os
import signal
import subprocess
import sys

import pytest

import main
from tests.conftest import ROOT
from tests.test_main import mistake, state
from trainer import files, rundir
from trainer.search.trial import Trial

ARGUMENTS = [
    'search',
    '--gin_file=configs/mlp.gin',
    '--gin.EPOCHS=2',
    '--gin.MLP.hidden_dim=8',
    '--gin_bindings=Experiment.pictures = 0',
    '--gin_bindings=Experiment.search = @Search()',
    '--gin.Search.trials=2',
    "--gin_bindings=Search.space = {'MLP.num_layers': [1, 2]}",
]
KILLED = """
import signal, sys
from tests.test_search_ends import at_second_trial, search
at_second_trial(signal.SIGKILL)
search(sys.argv[1])
"""


def search(workdir):
    os.chdir(ROOT)
    return main.main(['main.py', *ARGUMENTS, f'--workdir={workdir}'])


def at_second_trial(number, setter=setattr):
    """Sends this process a signal at the first evaluation of trial 1."""
    original = Trial.report

    def report(self, step, state, metrics):
        original(self, step, state, metrics)
        if self.trial.number == 1 and self.metric in metrics:
            os.kill(os.getpid(), number)

    setter(Trial, 'report', report)


def report(study, capsys):
    """What `report STUDY` writes, anew."""
    path = study / 'report.html'
    path.unlink(missing_ok=True)
    capsys.readouterr()
    assert main.main(['main.py', 'report', str(study)]) == 0
    assert capsys.readouterr().out == f'{path}\n'
    return path.read_text()


def assert_tells_of_the_interruption(page):
    assert '<section id="verdict">' in page and '<section id="trials">' in page
    assert 'Best is trial 0:' in page
    assert '<a href="trial_000/seed_0/report.html">0</a>' in page
    assert 'Trial 1 was interrupted; the same command goes on with it.' in page
    assert '<td>complete</td>' in page and '<td>interrupted</td>' in page
    assert '<td>running</td>' not in page


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_search_has_its_page(tmp_path, number, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        at_second_trial(number, patched.setattr)
        assert search(tmp_path) == 75
    written = (tmp_path / 'report.html').read_text()
    assert_tells_of_the_interruption(written)
    assert report(tmp_path, capsys) == written
    assert main.main(['main.py', 'search', f'--workdir={tmp_path}']) == 0
    page = report(tmp_path, capsys)
    assert 'was interrupted' not in page and page.count('<td>complete</td>') == 2


def test_a_page_can_be_made_of_a_search_that_was_killed(tmp_path, capsys):
    killed = [sys.executable, '-c', KILLED, str(tmp_path)]
    process = subprocess.run(killed, cwd=ROOT, capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL
    assert_tells_of_the_interruption(report(tmp_path, capsys))


def test_a_trial_under_way_elsewhere_is_not_called_interrupted(tmp_path, monkeypatch):
    pages, original = [], Trial.report

    def told(self, step, state, metrics):
        original(self, step, state, metrics)
        if self.metric in metrics and not pages:
            command = [sys.executable, 'main.py', 'report', str(tmp_path)]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            pages.append((tmp_path / 'report.html').read_text())

    monkeypatch.setattr(Trial, 'report', told)
    assert search(tmp_path) == 0
    assert 'No trial has come to an end yet.' in pages[0]
    assert '<td>running</td>' in pages[0] and 'was interrupted' not in pages[0]


def test_a_directory_without_study_or_run_is_one_line(tmp_path, capsys):
    assert main.main(['main.py', 'report', str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip()
    assert '\n' not in said and str(tmp_path) in said


@pytest.mark.parametrize(
    ('make', 'said'),
    [
        (lambda place: rundir.write_config(place, {}), 'is a run, and a search keeps'),
        (lambda place: files.write_text(place / 'thesis.tex', ''), 'holds thesis.tex'),
        (lambda place: (place / 'seed_0').mkdir(), 'it holds seed_0 and no study'),
    ],
    ids=['a run', 'a thesis', 'runs of seeds'],
)
def test_a_search_writes_into_nothing_else(make, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    make(tmp_path)
    (tmp_path / 'log.txt').write_text('')
    before = state(tmp_path)
    line = mistake([*ARGUMENTS, f'--workdir={tmp_path}'], capsys)
    assert str(tmp_path) in line and said in line and '--workdir' in line
    assert state(tmp_path) == before


@pytest.mark.parametrize(
    'words',
    [['train'], ['train', *ARGUMENTS[1:4]], ['evaluate'], ['check'], ['predict', 'a']],
    ids=' '.join,
)
def test_a_search_is_no_run(words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    for name in ('study.journal', 'best.gin'):
        (tmp_path / name).touch()
    before = state(tmp_path)
    line = mistake([*words, f'--workdir={tmp_path}'], capsys)
    assert f'{tmp_path} is a search, no run' in line
    assert f'search --workdir={tmp_path}` goes on' in line and 'best.gin' in line
    assert state(tmp_path) == before


def test_a_search_that_has_lost_its_config_says_so(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    (tmp_path / 'study.db').touch()
    line = mistake(['search', f'--workdir={tmp_path}'], capsys)
    assert f'No config, as {tmp_path} has lost its config.gin: give --gin_file' in line
