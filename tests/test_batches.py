"""Batches: order, shares, resume, workers, padding, and that nothing outlives a run."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import batches as batches_module
from trainer.data.batches import generators
from trainer.data.images import Images
from trainer.data.order import Sequential, Shuffled, permutation
from trainer.transforms import RandomResizedCrop

few = settings(max_examples=25, deadline=None)


def digits(**fields):
    return Images(**{'split': 'train[:200]', 'batch': 24, **fields}).open()


def take(batches, count):
    with contextlib.closing(batches):
        return list(itertools.islice(batches, count))


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert sorted(a) == sorted(b)
        for key in a:
            assert a[key].dtype == b[key].dtype
            np.testing.assert_array_equal(a[key], b[key])


def join(shares):
    """The global batch: the rows of each process after those of the one before."""
    return {key: np.concatenate([s[key] for s in shares]) for key in shares[0]}


sizes = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@few
@given(sizes, st.integers(0, 2**40), st.integers(0, 1000))
def test_an_epoch_is_a_permutation_less_its_remainder(size, seed, epoch):
    examples, batch = size
    order, steps = Shuffled(examples, batch, seed), examples // batch
    batches = [
        order(np.arange(batch) + (epoch * steps + step) * batch)[0]
        for step in range(steps)
    ]
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == len(seen) == steps * batch
    assert set(seen.tolist()) <= set(range(examples))


@few
@given(sizes, st.integers(0, 9), st.integers(0, 500))
def test_one_position_is_that_row_of_its_batch(size, seed, step):
    examples, batch = size
    order = Shuffled(examples, batch, seed)
    positions = np.arange(batch) + step * batch
    rows = [int(order(int(position))[0]) for position in positions]
    assert rows == order(positions)[0].tolist()


@few
@given(st.integers(1, 60), st.integers(1, 70))
def test_evaluation_sees_every_example_once(examples, batch):
    order = Sequential(examples, batch)
    index, mask = order(np.arange(len(order)))
    assert len(order) % batch == 0
    assert index[mask].tolist() == list(range(examples))
    assert index.max() < examples


def test_the_order_is_the_same_on_every_machine_and_for_ever():
    assert permutation(10, 0, 0).tolist() == PERMUTATION
    assert permutation(10, 0, 1).tolist() != PERMUTATION
    assert permutation(10, 1, 0).tolist() != permutation(10, 0, 1).tolist()


PERMUTATION = [6, 1, 0, 5, 3, 8, 7, 9, 2, 4]


def test_a_batch_is_what_the_contract_says():
    batch = take(digits().train_batches(0), 1)[0]
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
        'image': ((24, 8, 8, 1), 'uint8'),
        'label': ((24,), 'int32'),
        'mask': ((24,), 'bool'),
        'index': ((24,), 'int32'),
    }
    dataset = digits()
    for row, index in enumerate(batch['index']):
        np.testing.assert_array_equal(batch['image'][row], dataset[index]['image'])
        assert batch['label'][row] == dataset[index]['label']


def test_chance_depends_on_seed_and_position_alone():
    positions = np.array([0, 1, 7, 2**40])
    drawn = [rng.integers(2**60) for rng in generators(3, positions)]
    again = [rng.integers(2**60) for rng in generators(3, positions[::-1])]
    assert drawn == again[::-1] and len(set(drawn)) == 4
    assert drawn != [rng.integers(2**60) for rng in generators(4, positions)]


def test_cached_and_read_batches_are_the_same():
    cached, read = digits(cache='host'), digits(cache=None)
    assert_same(take(cached.train_batches(3), 20), take(read.train_batches(3), 20))
    assert_same(list(cached.eval_batches()), list(read.eval_batches()))


CROP = [RandomResizedCrop(size=6)]


@pytest.mark.parametrize('transforms', [(), CROP])
@pytest.mark.parametrize('cache', [None, 'host'])
def test_resume_equals_no_pause(transforms, cache):
    dataset = digits(transforms=transforms, cache=cache)
    whole = take(dataset.train_batches(7), 20)
    assert_same(whole[11:], take(dataset.train_batches(7, start_step=11), 9))


def test_starting_late_costs_no_more():
    dataset = digits(cache=None)
    start = time.perf_counter()
    take(dataset.train_batches(0, start_step=10**6), 1)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize('workers', [1, 2])
def test_workers_change_nothing(workers):
    read, cached = ({'transforms': CROP, 'cache': c} for c in (None, 'host'))
    expected = take(digits(**read).train_batches(1, 5), 12)
    assert_same(take(digits(**cached).train_batches(1, 5), 12), expected)
    assert_same(take(digits(workers=workers, **read).train_batches(1, 5), 12), expected)


@pytest.mark.parametrize('ahead, workers', [(1, 0), (3, 0), (40, 0), (1, 1), (5, 2)])
def test_reading_ahead_changes_nothing(monkeypatch, ahead, workers):
    fields = {'transforms': CROP, 'cache': None}
    expected = take(digits(**fields).train_batches(1, 5), 12)
    monkeypatch.setattr(batches_module, 'BUFFERED_BATCHES', ahead)
    assert_same(
        take(digits(workers=workers, **fields).train_batches(1, 5), 12), expected
    )


@pytest.mark.parametrize('processes', [2, 3, 8])
@pytest.mark.parametrize('cache', [None, 'host'])
def test_shares_make_the_same_global_batches(processes, cache):
    dataset = digits(cache=cache)
    whole = take(dataset.train_batches(2), 5)
    shares = [
        take(dataset.train_batches(2, 0, p, processes), 5) for p in range(processes)
    ]
    assert_same([join(s) for s in zip(*shares, strict=True)], whole)
    whole = list(dataset.eval_batches())
    shares = [list(dataset.eval_batches(p, processes)) for p in range(processes)]
    assert_same([join(s) for s in zip(*shares, strict=True)], whole)


def test_random_crops_differ_between_epochs_and_seeds():
    dataset = digits(transforms=CROP, split='train[:24]')
    first, second = take(dataset.train_batches(0), 2)
    other = take(dataset.train_batches(1), 1)[0]
    for batch in (second, other):
        by_index = [b['image'][np.argsort(b['index'])] for b in (first, batch)]
        assert (by_index[0] != by_index[1]).any()


@pytest.mark.parametrize('batch', [1, 7, 24, 50])
def test_evaluation_pads_the_last_batch_only(batch):
    dataset = digits(split='train[:30]', batch=batch)
    batches = list(dataset.eval_batches())
    assert {b['image'].shape for b in batches} == {(batch, 8, 8, 1)}
    mask = np.concatenate([b['mask'] for b in batches])
    index = np.concatenate([b['index'] for b in batches])
    assert mask.sum() == 30 and mask[:30].all()
    assert index[mask].tolist() == list(range(30))


RUN = """
import multiprocessing, sys
from trainer.data.images import Images
if __name__ == '__main__':
    workers = int(sys.argv[1])
    dataset = Images(split='train', batch=8, cache=None, workers=workers).open()
    batches = dataset.train_batches(0)
    next(batches)
    print(*[p.pid for p in multiprocessing.active_children()], flush=True)
    if sys.argv[2] == 'wait':
        sys.stdin.read()
"""


def start(tmp_path, workers, then):
    script = tmp_path / 'run.py'
    script.write_text(RUN)
    return subprocess.Popen(
        [sys.executable, '-W', 'error', script, str(workers), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': os.getcwd()},
    )


@pytest.mark.parametrize('workers', [0, 2])
def test_an_iterator_left_open_lets_python_exit_in_silence(tmp_path, workers):
    run = start(tmp_path, workers, 'leave')
    _, stderr = run.communicate(timeout=60)
    assert (run.returncode, stderr) == (0, '')


def test_no_worker_outlives_a_killed_run(tmp_path):
    run = start(tmp_path, 2, 'wait')
    workers = [int(pid) for pid in run.stdout.readline().split()]
    assert len(workers) == 2
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def alive(pid):
    """Whether the process runs; one that has ended and waits to be reaped does not."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False
