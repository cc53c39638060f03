"""Addresses that are of no use, and buckets that cannot be reached."""

import errno
import pathlib
import threading

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tests.mirror.machines import (
    objects,
    steps,
)
from trainer import places
from trainer.errors import UserError
from trainer.mirror import bucket

FAILED = OSError(errno.EIO, 'Input/output error')
DENIED = PermissionError('Anonymous caller\n has no access')


def test_one_address_has_one_place(monkeypatch, tmp_path):
    monkeypatch.setenv('JUNIPER_MIRRORS', str(tmp_path))
    place = places.local('gs://bucket/runs/night')
    assert place.parent == tmp_path and place.name.startswith('gs_bucket_runs_night-')
    for same in ('gcs://bucket/runs/night/', 'GS://bucket//runs/night'):
        assert places.local(same) == place
    others = {
        'gs://bucket/runs/night2',
        's3://bucket/runs/night',
        'gs://bucket/runs_night',
    }
    assert len({places.local(other) for other in others} | {place}) == 4
    assert places.local('runs/x') == pathlib.Path('runs/x')
    monkeypatch.delenv('JUNIPER_MIRRORS')
    monkeypatch.setenv('JUNIPER_CACHE', str(tmp_path / 'cache'))
    assert places.local('gs://a/b').parent == tmp_path / 'cache' / 'mirrors'


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ('zz://bucket/run', 'is no address that is known'),
        ('memory://bucket/*', 'is a pattern; an address names one run'),
        ('memory://', 'names no place; add a bucket'),
    ],
)
def test_an_address_that_is_none(machines, given, said):
    for ask in (machines[0].keeper, machines[0].fetched):
        with pytest.raises(UserError, match=said):
            ask(given)


def test_a_package_that_is_missing(machines, monkeypatch):
    def url_to_fs(*_, **__):
        raise ImportError('Please install gcsfs to access Google Storage')

    monkeypatch.setattr('fsspec.core.url_to_fs', url_to_fs)
    with pytest.raises(UserError, match=r'gcsfs.*requirements-cloud.txt') as error:
        machines[0].keeper('gs://bucket/run')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('operation', 'error', 'said'),
    [
        ('cat_file', DENIED, 'Anonymous caller has no access'),
        ('cat_file', FAILED, 'input/output error'),
        ('pipe_file', DENIED, 'Anonymous caller has no access'),
        ('pipe_file', FileNotFoundError('the bucket'), 'FileNotFoundError: the bucket'),
        ('pipe_file', FAILED, 'input/output error'),
    ],
)
def test_a_bucket_that_cannot_be_used(
    address, machines, monkeypatch, operation, error, said
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(bucket.time, 'sleep', lambda _: None)
    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, operation, fail)
        with pytest.raises(UserError, match=f'{address} cannot be used: .*{said}') as e:
            machines[0].keeper(address).begin()
    assert '\n' not in str(e.value) and 'or give a local --workdir' in str(e.value)
    assert not machines[0].place(address).exists() and not objects(address)


def test_a_read_that_fails_twice_is_tried_again(address, machines, monkeypatch):
    machines[0].run(address, 10)
    read, failures = MemoryFileSystem.get_file, [2]

    def get_file(*arguments, **keywords):
        if failures[0]:
            failures[0] -= 1
            raise FAILED
        return read(*arguments, **keywords)

    monkeypatch.setattr(bucket.time, 'sleep', lambda _: None)
    monkeypatch.setattr(MemoryFileSystem, 'get_file', get_file)
    assert steps(machines[1].run(address)) == [10]


def test_a_server_that_does_not_answer_is_not_waited_for(
    address, machines, monkeypatch
):
    asked, answer = [], threading.Event()

    def cat_file(*_, **__):
        asked.append(1)
        answer.wait(10)

    monkeypatch.setattr(bucket, 'SECONDS', 0.05)
    monkeypatch.setattr(MemoryFileSystem, 'cat_file', cat_file)
    with pytest.raises(UserError, match='no answer within 0 s'):
        machines[0].fetched(address)
    answer.set()
    assert len(asked) == 1
