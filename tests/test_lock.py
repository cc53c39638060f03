"""One run at a time in a directory that can be written."""

import errno
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from trainer import lock
from trainer.errors import TrainingFailed, UserError
from trainer.lock import RunLock, check_writable

ROOT = pathlib.Path(__file__).resolve().parents[1]
HOLD = """
import sys, time
from trainer.lock import RunLock
with RunLock(sys.argv[1]):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the directory."""
    command = [sys.executable, '-c', HOLD, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'held\n'
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_and_told_who(tmp_path, holder):
    with pytest.raises(UserError) as error, RunLock(tmp_path):
        pass
    message = str(error.value)
    assert f'process {holder.pid} on {socket.gethostname()} since 20' in message
    assert '--workdir' in message and '\n' not in message


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with RunLock(tmp_path):
        pass


def test_a_released_lock_can_be_taken_again(tmp_path):
    for _ in range(2):
        with RunLock(tmp_path), pytest.raises(UserError, match=str(os.getpid())):
            RunLock(tmp_path).acquire()


def test_a_lock_that_says_nothing_yet_is_still_a_lock(tmp_path):
    with RunLock(tmp_path) as lock:
        os.truncate(lock.path, 0)
        with pytest.raises(UserError, match='in use by another process'):
            RunLock(tmp_path).acquire()


def test_without_kernel_locks_the_lease_decides(tmp_path, monkeypatch, holder):
    def no_locks(*_):
        raise OSError(errno.ENOSYS, 'no locks here')

    monkeypatch.setattr(fcntl, 'flock', no_locks)
    with pytest.raises(UserError, match=f'process {holder.pid}'):
        RunLock(tmp_path).acquire()
    holder.kill()
    holder.wait()
    with RunLock(tmp_path):
        pass


def test_after_another_start_of_the_machine_nobody_holds_it(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, 'no locks here')

    monkeypatch.setattr(fcntl, 'flock', no_locks)
    here = {'host': socket.gethostname(), 'pid': os.getpid(), 'since': 'long ago'}
    for boot, held in ((lock._boot(), True), (None, True), ('an earlier one', False)):
        (tmp_path / '.lock').write_text(json.dumps(here | {'boot': boot}))
        refused = pytest.raises(UserError, match='long ago')
        with refused if held else RunLock(tmp_path):
            RunLock(tmp_path).acquire() if held else None


def test_a_directory_that_is_deleted_is_missed(tmp_path):
    place = tmp_path / 'run'
    place.mkdir()
    missed = pytest.raises(TrainingFailed, match='run was deleted or moved')
    with missed, RunLock(place):
        shutil.rmtree(place)
        raise FileNotFoundError


def test_a_writable_directory_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / 'runs' / 'digits')
    assert list((tmp_path / 'runs' / 'digits').iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / 'file').touch()
    for directory in ('file', 'file/below'):
        with pytest.raises(UserError, match='cannot be written'):
            check_writable(tmp_path / directory)


def test_a_read_only_disk_is_a_users_error(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, 'fsync', read_only)
    with pytest.raises(UserError, match='Read-only file system'):
        check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_cannot_be_locked(tmp_path):
    with pytest.raises(UserError, match='cannot be written: No such file'):
        RunLock(tmp_path / 'none').acquire()
