"""A save goes on behind the loop, and is of the state that it was given."""

import dataclasses
import functools
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import pytest

from tests.checkpoint_states import abstract, assert_same, make_state, python, saved
from trainer import files, holding, state_files
from trainer.checkpoints import CheckpointStore
from trainer.errors import SaveFailed, TrainingFailed
from trainer.experiment import load
from trainer.job import open_job
from trainer.saver import Saver
from trainer.train import train


@pytest.fixture
def gate(monkeypatch):
    """Fingerprints are not taken before this event is set."""
    opened, seal = threading.Event(), state_files.seal

    def wait_and_seal(*arguments):
        assert opened.wait(60)
        return seal(*arguments)

    monkeypatch.setattr(state_files, 'seal', wait_and_seal)
    yield opened
    opened.set()


@functools.partial(jax.jit, donate_argnums=0)
def grow(arrays):
    return jax.tree.map(lambda x: x + x if x.dtype != bool else ~x, arrays)


def pointers(arrays):
    leaves = jax.tree.leaves(arrays)
    return {leaf.unsafe_buffer_pointer() for leaf in leaves if leaf.size}


def in_use() -> int:
    """Bytes of all arrays that are alive."""
    gc.collect()
    return sum(array.nbytes for array in jax.live_arrays())


def test_what_was_given_is_saved_whatever_the_loop_does_after(tmp_path, gate):
    store, state = CheckpointStore(tmp_path), grow(make_state(7))
    expected = jax.tree.map(lambda x: jax.device_get(x).tolist(), state)
    given = pointers(state)
    store.save(7, state, {})
    for _ in range(3):
        state = grow(state)
        assert not pointers(state) & given
    assert store.busy
    gate.set()
    assert store.wait() == 7
    found, _ = store.load(7, abstract(make_state(7)))
    found = jax.tree.map(lambda x: jax.device_get(x).tolist(), found)
    assert found == expected


def test_nothing_is_read_while_a_save_begins(tmp_path, gate):
    gate.set()
    store = saved(tmp_path, 1)
    gate.clear()
    store.save(2, make_state(2), {})
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit(store.load, 1, abstract(make_state(1)))
        with pytest.raises(TimeoutError):
            read.result(0.2)
        gate.set()
        assert_same(read.result(60)[0], make_state(1))
    assert store.wait() == 2


def test_a_compiled_train_step_leaves_alone_what_is_saved(tmp_path, gate):
    job = open_job(load(['configs/mlp.gin'], ['MLP.hidden_dim = 8']), ())
    step, state = job.compile_train_step(), job.init_state()
    batches = job.train_batches()
    state, _ = step(state, next(batches)[0])
    expected = jax.device_get(jax.tree.map(jnp.copy, state.params))
    store = CheckpointStore(tmp_path)
    store.save(1, state, {})
    for _ in range(3):
        state, _ = step(state, next(batches)[0])
    batches.close()
    gate.set()
    store.wait()
    found, _ = store.load(1, job.abstract_state())
    same = jax.tree.map(lambda a, b: bool((a == b).all()), found.params, expected)
    assert all(jax.tree.leaves(same))


def test_the_manifest_is_of_that_moment_too(tmp_path, gate):
    store, facts = CheckpointStore(tmp_path), {'skipped': [1], 'tracker': {'best': 3}}
    store.save(1, make_state(), facts)
    facts['skipped'].append(2)
    facts['tracker']['best'] = 4
    gate.set()
    store.wait()
    manifest = store.manifest(1)
    assert (manifest['skipped'], manifest['tracker']) == ([1], {'best': 3})


@pytest.mark.parametrize('fails', [False, True])
def test_afterwards_no_second_copy_is_alive(tmp_path, monkeypatch, fails):
    if fails:
        monkeypatch.setattr(files, 'make_durable', lambda _: 1 / 0)
    store, before = CheckpointStore(tmp_path), in_use()
    state = grow([jnp.ones((256, 256)) for _ in range(4)])
    alone = in_use()
    store.save(1, state, {})
    state = grow(state)
    if fails:
        with pytest.raises(SaveFailed, match='division by zero'):
            store.wait()
    store.wait()
    deadline = time.monotonic() + 10
    while in_use() > alone and time.monotonic() < deadline:
        time.sleep(0.01)
    assert in_use() == alone
    state = grow(given := state)
    assert all(array.is_deleted() for array in given)
    assert in_use() - before == sum(array.nbytes for array in state)


def test_what_fails_behind_is_told_at_the_next_wait_and_counted(
    tmp_path, monkeypatch, capsys
):
    def fail(_):
        raise MemoryError('no room for sums')

    saves = Saver(CheckpointStore(tmp_path), None)
    with monkeypatch.context() as patched:
        patched.setattr(state_files, 'fingerprints', fail)
        saves.save(1, make_state(1), {})
        saves.close()
        assert saves.failed == 0 and not saves.store.busy
        saves.save(2, make_state(2), {})
        assert saves.failed == 1
        with pytest.raises(SaveFailed, match=r'step 2 .* no room for sums'):
            saves.finish()
    assert 'step 1 could not be written to' in capsys.readouterr().err
    assert saves.store.steps() == []
    saves.save(3, make_state(3), {})
    saves.finish()
    assert saves.store.steps() == [3]


def test_a_state_that_is_refused_behind_is_told_in_its_own_words(tmp_path):
    def refuse(state):
        raise TrainingFailed(f'{state["step"]} is not finite; nothing of it was saved')

    saves = Saver(CheckpointStore(tmp_path), None)
    saves.save(1, make_state(1), {})
    saves.save(2, make_state(2), {}, (), refuse)
    with pytest.raises(TrainingFailed, match=r'^2 is not finite; nothing of it was'):
        saves.save(3, make_state(3), {})
    assert saves.store.steps() == [1]


def test_old_checkpoints_are_collected_before_it_is_said_to_be_saved(tmp_path):
    store = saved(tmp_path, 1, 2, keep=1)
    store.save(3, make_state(3), {})
    store.let_finish()
    assert store.steps() == [3]


def test_what_is_spent_behind_counts_as_a_cost(tmp_path, gate):
    saves = Saver(CheckpointStore(tmp_path), seconds=1e-9)
    saves.save(1, make_state(1), {})
    time.sleep(0.2)
    gate.set()
    saves.close()
    assert saves.store.spent >= 0.2
    assert not saves.overdue()  # 40 s are to pass


def test_nothing_is_held_that_xla_would_not_spare():
    assert holding.hold({'x': jnp.ones(3), 'half': jnp.ones(3, 'bfloat16')})
    assert holding.hold({'x': jnp.ones(3), 'four': jnp.ones(3, 'int4')}) is None
    assert holding.hold({'x': jnp.ones(3), 'n': 3}) is None


SEVERAL = """
import jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from trainer import holding
mesh = jax.make_mesh((2,), ('data',))
for spec in ((), ('data',)):
    place = NamedSharding(mesh, PartitionSpec(*spec))
    print(holding.hold([jax.device_put(jnp.ones(4), place)]))
"""


def test_several_devices_are_waited_for():
    flags = '--xla_force_host_platform_device_count=2'
    assert python(SEVERAL, XLA_FLAGS=flags) == ['None', 'None']


def test_a_run_that_fails_lets_its_save_come_to_its_end(tmp_path, monkeypatch):
    durable, ended = files.make_durable, []

    def slowly(directory):
        time.sleep(0.3)
        durable(directory)
        ended.append(directory.name)

    def fail(step, *_):
        if step == 12:
            raise TrainingFailed('a hook failed')

    monkeypatch.setattr(files, 'make_durable', slowly)
    small = ['MLP.hidden_dim = 8', 'EPOCHS = 3', 'Experiment.log_every = 1']
    experiment = load(['configs/mlp.gin'], small)
    with pytest.raises(TrainingFailed, match='a hook failed'):
        train(dataclasses.replace(experiment, hooks=[fail]), tmp_path)
    assert ended == ['10']
