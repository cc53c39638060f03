"""Batches on the mesh: those of the data set, and laid there in few calls."""

import contextlib
import itertools
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from tests.conftest import ROOT
from trainer import feeding, parallel
from trainer.data.images import Images
from trainer.experiment import load
from trainer.job import open_job
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


def digits(cache):
    return Images(split='train[:200]', batch=24, cache=cache).open()


def batches_of(data):
    """Training batches from the first step on, on all devices."""
    return feeding.train_batches(data, make_mesh(Parallel()), (7, 0), lambda _: 1)


class Slow:
    """A source that tells which examples are read, and waits for its gate."""

    def __init__(self, source, read, gate):
        self.source, self.read, self.gate = source, read, gate

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        self.read.append(index)
        assert self.gate.wait(60)
        return self.source[index]


def slow(cache):
    """Data whose examples are there when a gate is open, and what was read of them."""
    data, read, gate = digits(cache), [], threading.Event()
    data.examples = Slow(data.examples, read, gate)
    return data, read, gate


@pytest.mark.parametrize('cache', ['host', 'device'])
def test_what_memory_is_to_hold_is_read_ahead_and_once(cache):
    data, read, gate = slow(cache)
    data.reading  # noqa: B018
    while not read and not data.reading.done():
        time.sleep(0.001)
    other = digits(cache)  # read meanwhile: it does not wait for the first
    assert len(other.held) == 200 and not data.reading.done()
    gate.set()
    with contextlib.closing(batches_of(data)) as batches:
        list(itertools.islice(batches, 2))
    list(itertools.islice(data.eval_batches(), 2))
    assert sorted(read) == list(range(200))


@pytest.mark.parametrize('cache, ahead', [('host', True), (None, False)])
def test_only_what_memory_is_to_hold_is_read_ahead(cache, ahead):
    job = open_job(load(['configs/mlp.gin'], [f'Images.cache = {cache!r}']), ())
    job.read_ahead()
    assert ('reading' in vars(job.datasets['train'])) == ahead


class Broken:
    """A source of 200 examples whose disk is gone."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 200

    def __getitem__(self, index):
        self.read.append(index)
        raise OSError('the disk is gone')


def test_what_goes_wrong_in_reading_ahead_is_told_to_who_asks_and_read_once():
    data = digits('host')
    data.examples = Broken()
    data.reading  # noqa: B018
    for _ in range(2):
        with pytest.raises(OSError, match='the disk is gone'):
            next(batches_of(data))
    assert len(data.examples.read) <= 200


LEAVING = """
import atexit, sys, time
from trainer.data import held
from trainer.data.images import Images
from trainer.experiment import load
from trainer.job import open_job

held.COMING, read = 8, []
data = Images(split='train', batch=24, cache='host').open()
source = type(data.source)
get = source.__getitem__

def slowly(self, index):
    read.append(index)
    time.sleep(0.01)
    return get(self, index)

source.__getitem__ = slowly
data.reading
while len(read) < 3 * held.COMING and not data.reading.done():
    time.sleep(0.001)
atexit.register(lambda: print(len(read), len(data.source)))
sys.exit(3)
"""


def test_who_leaves_while_data_are_read_ahead_does_not_wait_for_all_of_them():
    done = subprocess.run(
        [sys.executable, '-c', LEAVING],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (3, '')
    read, whole = map(int, done.stdout.split())
    assert 24 <= read < whole / 2
