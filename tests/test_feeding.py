"""Batches on the mesh: those of the data set, and laid there in few calls."""

import contextlib
import itertools
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.conftest import ROOT
from trainer import feeding, parallel
from trainer.data.images import Images
from trainer.parallel import Parallel, make_mesh

BATCH_BYTES = 24 * 8 * 8


@pytest.mark.parametrize(
    'cache, most_bytes, at_once',
    [
        ('host', 2**20, 16),
        ('host', 5 * BATCH_BYTES, 5),
        ('host', BATCH_BYTES - 1, 1),
        (None, 2**20, 1),
    ],
)
def test_small_batches_of_memory_are_laid_several_at_once(
    monkeypatch, cache, most_bytes, at_once
):
    monkeypatch.setattr(feeding, 'LAID_BYTES', most_bytes)
    place, calls = parallel.place_several, []

    def counted(batches, mesh):
        calls.append(len(batches))
        return place(batches, mesh)

    monkeypatch.setattr(parallel, 'place_several', counted)
    data = Images(split='train[:200]', batch=24, cache=cache).open()
    position, skipped = (7, 3), (5,)
    mesh = make_mesh(Parallel())
    batches = feeding.train_batches(data, mesh, position, lambda _: 1, skipped)
    with contextlib.closing(batches):
        laid = list(itertools.islice(batches, 20))
    with contextlib.closing(data.train_batches(*position)) as batches:
        read = list(itertools.islice(batches, 21))
    assert set(calls) == {at_once}
    expected = [batch for number, batch in enumerate(read, 3) if number not in skipped]
    for (batch, count), wanted in zip(laid, expected, strict=True):
        assert count == 1 and sorted(batch) == sorted(wanted)
        for key, value in wanted.items():
            np.testing.assert_array_equal(jax.device_get(batch[key]), value)


def batches_of(data):
    """Training batches from the first step on, on all devices."""
    return feeding.train_batches(data, make_mesh(Parallel()), (7, 0), lambda _: 1)


@pytest.mark.parametrize('cache', ['host', 'device', None])
def test_what_memory_is_to_hold_is_read_ahead_and_once(cache, monkeypatch):
    data, read = Images(split='train[:200]', batch=24, cache=cache).open(), []
    source = type(data.source)
    get = source.__getitem__
    monkeypatch.setattr(source, '__getitem__', lambda s, i: read.append(i) or get(s, i))
    feeding.read_ahead(data)
    with contextlib.closing(batches_of(data)) as batches:
        list(itertools.islice(batches, 2))
    if cache is None:
        assert len(read) >= 48 and len({*read}) < 200
    else:
        assert sorted(read) == list(range(200))


def test_what_goes_wrong_in_reading_ahead_is_told_to_who_asks(monkeypatch):
    data = Images(split='train[:200]', batch=24, cache='host').open()

    def broken(_source, _index):
        raise OSError('the disk is gone')

    monkeypatch.setattr(type(data.source), '__getitem__', broken)
    feeding.read_ahead(data)
    with pytest.raises(OSError, match='the disk is gone'):
        next(batches_of(data))


LEAVING = """
import atexit, sys, threading, time
from trainer import feeding
from trainer.data import held
from trainer.data.images import Images

held.AT_ONCE, read, began = 8, [], threading.Event()
data = Images(split='train', batch=24, cache='host').open()
source = type(data.source)
get = source.__getitem__

def slowly(self, index):
    read.append(index)
    began.set()
    time.sleep(0.02)
    return get(self, index)

source.__getitem__ = slowly
feeding.read_ahead(data)
began.wait()
atexit.register(lambda: print(len(read), len(data.source)))
sys.exit(3)
"""


def test_who_leaves_while_data_are_read_ahead_does_not_wait_for_all_of_them():
    done = subprocess.run(
        [sys.executable, '-c', LEAVING], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (3, '')
    read, whole = map(int, done.stdout.split())
    assert read < whole / 2
