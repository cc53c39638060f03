"""A save that fails is told once and clearly, and is never taken for a checkpoint."""

import os

import pytest

from tests.checkpoint_states import make_state, python, saved
from trainer.checkpoints import CheckpointStore, SaveFailed

FULL = """
import resource, signal, sys
import jax.numpy as jnp, numpy as np
from trainer.checkpoints import CheckpointStore, SaveFailed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
store = CheckpointStore(sys.argv[1], keep=1)
state = {'x': jnp.asarray(np.random.default_rng(0).normal(size=100_000))}
store.save(1, state, {})
store.wait()
room(100_000)
store.save(2, state, {})
try:
    store.save(3, state, {})
except SaveFailed as error:
    print(error)
print(store.steps())
room(resource.RLIM_INFINITY)
store.save(3, state, {})
store.wait()
print(store.steps())
"""


def test_a_disk_that_is_full_is_one_clear_error_and_costs_one_checkpoint(tmp_path):
    message, before, after = python(FULL, tmp_path)
    assert message.startswith('The checkpoint of step 2 could not be written to ')
    assert 'file too large' in message and 'resume from step 1' in message
    assert (before, after) == ('[1]', '[3]')
    assert os.listdir(tmp_path) == ['3']


def test_a_save_that_cannot_begin_fails_at_once(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(SaveFailed, match='file exists'):
        CheckpointStore(tmp_path / 'file').save(1, make_state(), {})


def test_a_step_that_did_not_reach_the_disk_is_not_listed(tmp_path, monkeypatch):
    store = saved(tmp_path, 1)

    def fail(*_):
        raise OSError(5, 'broken disk')

    monkeypatch.setattr(os, 'fsync', fail)
    store.save(2, make_state(2), {})
    with pytest.raises(SaveFailed, match=r'step 2 .*: input/output error'):
        store.wait()
    assert store.steps() == [1]
    store.wait()  # the error has been told
