"""The balanced sampler: classes equally often, and all else as without it."""

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.images import Images
from trainer.data.order import Balanced, Shuffled, rows_of
from trainer.data.sources.shapes import Shapes
from trainer.errors import UserError

few = settings(max_examples=40, deadline=None)
labels = st.lists(st.integers(0, 4), min_size=8, max_size=60).map(np.array)


def make(kind, classes, batch, seed):
    more = (classes.astype(np.int32),) if kind is Balanced else ()
    return kind(len(classes), batch, seed, *more)


@few
@given(labels, st.integers(0, 2**40), st.integers(0, 50))
def test_every_class_comes_equally_often(classes, seed, number):
    epoch = make(Balanced, classes, 8, seed).epoch(number)
    assert len(epoch) == len(classes)
    counts = np.bincount(classes[epoch])[np.unique(classes)]
    assert counts.max() - counts.min() <= 1
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        drawn = np.bincount(epoch, minlength=len(classes))[members]
        assert drawn.max() - drawn.min() <= 1


@few
@given(labels, st.integers(0, 9), st.integers(0, 500), st.integers(1, 8))
@pytest.mark.parametrize('kind', [Shuffled, Balanced])
def test_shares_are_disjoint_and_complete(kind, classes, seed, step, processes):
    """For 1 to 8 processes, each position is one process's, and as it was for one."""
    order = make(kind, classes, 8, seed)
    batch = order.batch // processes * processes
    order = make(kind, classes, batch, seed)
    positions = np.arange(batch) + step * batch
    whole, _ = order(positions)
    shares = [positions[rows_of((p, processes), batch)] for p in range(processes)]
    assert sorted(np.concatenate(shares)) == positions.tolist()
    found = np.concatenate([order(share)[0] for share in shares])
    np.testing.assert_array_equal(found, whole)


def rare(**fields):
    """The digits, but few of them eights."""
    images = Images(split='train[:300]', batch=20, sampler='balanced', **fields)
    return images.open()


def take(batches, count):
    with contextlib.closing(batches):
        return list(itertools.islice(batches, count))


@pytest.mark.parametrize('cache', [None, 'host'])
def test_resume_and_the_cache_change_nothing(cache):
    whole, dataset = take(rare(cache='host').train_batches(5), 40), rare(cache=cache)
    again = take(dataset.train_batches(5, 23), 17)
    for left, right in zip(whole[23:], again, strict=True):
        for key in left:
            np.testing.assert_array_equal(left[key], right[key])
    assert dataset.steps_per_epoch == 15
    epoch = np.concatenate([batch['label'] for batch in whole[:15]])
    assert set(np.bincount(epoch)) == {30}


def test_without_one_class_an_example_it_is_refused():
    images = Images(
        source=Shapes(kind='boxes'), split='train', batch=8, sampler='balanced'
    )
    with pytest.raises(UserError, match=r'one class of an example, but .* has .*boxes'):
        images.open().train_batches(0)
