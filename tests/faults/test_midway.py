"""What changes under a run that goes: directory, rights, clock and disk."""

import errno
import functools
import json
import os
import shutil
import time

import pytest

import main
from tests.run_ends import assert_same_end
from trainer import files, loop, rundir, writers

MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=3']
DAY = 86_400


def train(workdir):
    return main.main(['main.py', *MLP, f'--workdir={workdir}'])


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nothing befell."""
    workdir = tmp_path_factory.mktemp('whole') / 'run'
    assert train(workdir) == 0
    return workdir


def midway(monkeypatch, befall, step=15):
    """Something happens after a step, once."""
    after, left = loop.Loop.evaluate_if_due, [step]

    def called(self, *arguments, **keywords):
        left[0] -= 1
        if not left[0]:
            befall()
        return after(self, *arguments, **keywords)

    monkeypatch.setattr(loop.Loop, 'evaluate_if_due', called)


def last_line(capsys):
    said = capsys.readouterr().err
    assert 'Traceback' not in said
    return said.splitlines()[-1]


def test_a_run_directory_that_is_deleted(tmp_path, monkeypatch, capsys, tally):
    run = tmp_path / 'run'
    midway(monkeypatch, lambda: shutil.rmtree(run))
    assert train(run) == 3
    line = last_line(capsys)
    assert line.startswith(f'error: {run} was deleted or moved'), line
    tally('directory deleted', survived=1)


def test_a_clock_that_jumps(tmp_path, whole, monkeypatch, tally):
    now, moved = time.time, [0]
    monkeypatch.setattr(time, 'time', lambda: now() + moved[0])
    for step, days in ((5, 1), (15, -2), (25, 3)):
        midway(monkeypatch, functools.partial(moved.__setitem__, 0, days * DAY), step)
    assert train(tmp_path / 'run') == 0
    assert moved == [3 * DAY]
    assert_same_end(whole, tmp_path / 'run')
    tally('clock jumps', survived=3)


@pytest.mark.parametrize('code', [errno.EACCES, errno.EROFS], ids=errno.errorcode.get)
def test_rights_that_are_lost(tmp_path, whole, monkeypatch, code, capsys, tally):
    run, refused = tmp_path / 'run', OSError(code, os.strerror(code))

    def make_durable(_):
        raise refused

    with monkeypatch.context() as patched:
        midway(patched, lambda: patched.setattr(files, 'make_durable', make_durable))
        assert train(run) == 3
    assert os.strerror(code).lower() in last_line(capsys)
    assert train(run) == 0
    assert_same_end(whole, run)
    tally('rights lost', survived=1)


@pytest.mark.parametrize('name', ['config.json', 'results.json', 'report.html'])
def test_a_disk_that_is_full_when_a_file_is_written(
    tmp_path, whole, monkeypatch, name, capsys, tally
):
    run, written = tmp_path / 'run', files.write_bytes

    def write_bytes(path, content):
        if os.path.basename(path) == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        written(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(files, 'write_bytes', write_bytes)
        code = train(run)
    said = capsys.readouterr().err
    assert code in (0, 3) and 'Traceback' not in said
    assert name in said and 'no space left' in said.lower(), said
    assert train(run) == 0
    assert_same_end(whole, run)
    tally('disk full at a file', survived=1)


def test_a_disk_that_is_full_when_metrics_are_written(
    tmp_path, whole, monkeypatch, capsys, tally
):
    class Full(writers.JsonlWriter):
        def write_scalars(self, step, scalars):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = tmp_path / 'run'
    with monkeypatch.context() as patched:
        midway(
            patched,
            lambda: patched.setattr(
                writers.JsonlWriter, 'write_scalars', Full.write_scalars
            ),
        )
        code = train(run)
    said = capsys.readouterr().err
    assert (code, 'Traceback' in said) == (0, False), said
    assert 'no space left' in said.lower(), said
    assert json.loads((run / rundir.RESULTS).read_text())
    tally('disk full at metrics', survived=1)
