"""A save that fails costs a checkpoint and not the run; a kill costs a minute."""

import errno
import json
import os
import shutil

import pytest

import main
from tests.checkpoint_states import make_state
from tests.run_ends import assert_same_end
from trainer import files, saver
from trainer.checkpoints import CheckpointStore, SaveFailed
from trainer.errors import TrainingFailed, ending_of
from trainer.saver import Saver

MLP = ['--gin_file=configs/mlp.gin', '--gin.MLP.hidden_dim=8', '--gin.EPOCHS=4']


def train(workdir, *arguments):
    return main.main(['main.py', *MLP, f'--workdir={workdir}', *arguments])


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nothing befell."""
    workdir = tmp_path_factory.mktemp('whole') / 'run'
    assert train(workdir) == 0
    return workdir


@pytest.fixture
def failing(monkeypatch):
    """A function that lets the saves of these steps fail on a full disk."""
    durable = files.make_durable

    def fail(*steps, code=errno.ENOSPC):
        def make_durable(directory):
            if int(directory.name) in steps:
                raise OSError(code, os.strerror(code))
            durable(directory)

        monkeypatch.setattr(files, 'make_durable', make_durable)

    return fail


def test_a_full_disk_costs_checkpoints_and_is_counted(tmp_path, whole, failing, capsys):
    failing(10, 20)
    assert train(tmp_path / 'run') == 0
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert 'step 10 could not be written to' in warnings[0]
    assert warnings[0].startswith('warning: ')
    assert 'no space left on device; training goes on' in warnings[0]
    lines = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()
    failed = [json.loads(line).get('perf/failed_saves') for line in lines]
    assert [count for count in failed if count] == [1, 2]
    assert CheckpointStore(tmp_path / 'run' / 'checkpoints').steps() == [30, 40]
    assert_same_end(whole, tmp_path / 'run')


def test_three_failures_in_a_row_end_the_run(tmp_path, whole, failing, capsys):
    failing(10, 20, 30, code=errno.EIO)
    assert train(tmp_path / 'run') == 3
    *warnings, error = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2
    assert error.startswith('error: 3 saves in a row have failed. The checkpoint of')
    assert 'input/output error. Make room or mend the disk' in error
    assert not (tmp_path / 'run' / 'results.json').exists()
    failing()
    assert train(tmp_path / 'run') == 0
    assert_same_end(whole, tmp_path / 'run')


def test_a_last_save_that_fails_is_a_failed_run(tmp_path, whole, failing, capsys):
    failing(40)
    assert train(tmp_path / 'run') == 3
    assert 'then resume from step 30' in capsys.readouterr().err
    assert not (tmp_path / 'run' / 'results.json').exists()
    assert CheckpointStore(tmp_path / 'run' / 'checkpoints').steps() == [20, 30]
    failing()
    assert train(tmp_path / 'run') == 0
    assert_same_end(whole, tmp_path / 'run')


def test_a_success_between_failures_begins_the_count_anew(tmp_path, failing, capsys):
    failing(1, 2, 4, 5)
    saves = Saver(CheckpointStore(tmp_path), None)
    for step in range(1, 7):
        saves.save(step, make_state(step), {})
    saves.finish()
    assert saves.failed == 4
    assert saves.store.steps() == [3, 6]


def test_a_disk_that_is_slow_is_mentioned(tmp_path, monkeypatch, capsys):
    import threading

    ready = threading.Event()
    monkeypatch.setattr('trainer.checkpoints.SLOW_SECONDS', 0.01)
    monkeypatch.setattr(files, 'make_durable', lambda _: ready.wait(10))
    store = CheckpointStore(tmp_path)
    saves = Saver(store, seconds=1e-9)
    saves.save(1, make_state(1), {})
    assert store.busy and not saves.overdue()
    threading.Timer(0.2, ready.set).start()
    assert store.wait() == 1
    assert 'step 1 has been on its way to the disk' in capsys.readouterr().err
    assert not store.busy


def test_by_the_clock_no_seldomer_than_asked_nor_dearer_than_allowed(monkeypatch):
    now = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])

    class Store:
        busy, spent = False, 0.0

        def wait(self):
            return 1

        def save(self, *_):
            now[0] += 1

    saves = Saver(Store(), seconds=60)
    now[0] += 59
    assert not saves.overdue()
    now[0] += 1
    assert saves.overdue()
    saves.save(1, None, {})
    now[0] += 199  # a save of one second may come every 200
    assert not saves.overdue()
    now[0] += 1
    assert saves.overdue()
    assert not Saver(Store(), seconds=None).overdue()


def test_what_the_clock_saved_resumes_bit_by_bit(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(saver, 'SHARE', 1e9)
    often = ['--gin.Checkpoints.seconds=1e-9', '--gin.Checkpoints.keep=40']
    assert train(tmp_path / 'run', *often) == 0
    store = CheckpointStore(tmp_path / 'run' / 'checkpoints')
    between = [step for step in store.steps() if step % 10]
    assert between
    assert_same_end(whole, tmp_path / 'run')
    middle = between[len(between) // 2]
    for step in store.steps():
        if step > middle:
            shutil.rmtree(tmp_path / 'run' / 'checkpoints' / str(step))
    (tmp_path / 'run' / 'results.json').unlink()
    assert train(tmp_path / 'run') == 0
    assert_same_end(whole, tmp_path / 'run')


def test_a_disk_error_anywhere_is_one_line_with_what_to_do():
    full = OSError(errno.ENOSPC, 'No space left on device', 'runs/a/results.json')
    ending = ending_of(full)
    assert isinstance(ending, TrainingFailed)
    assert str(ending).startswith('runs/a/results.json could not be read or written: ')
    other = OSError(errno.ENOENT, 'No such file')
    assert ending_of(other) is other
    assert issubclass(SaveFailed, TrainingFailed)
