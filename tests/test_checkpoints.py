"""What is saved is restored, or refused where it does not fit."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from tests.checkpoint_states import (
    ABSTRACT,
    abstract,
    accept,
    assert_same,
    make_state,
    python,
    saved,
)
from trainer import orbax_files, state_files
from trainer.checkpoints import CheckpointStore
from trainer.errors import UserError


def test_gives_back_the_state_and_the_manifest(tmp_path):
    store = saved(tmp_path / 'a' / 'checkpoints', 7)
    state, manifest = store.restore(ABSTRACT, check=accept)
    assert_same(state, make_state(7))
    assert isinstance(state['opt_state'][0], optax.ScaleByAdamState)
    assert state['half'].sharding == make_state()['half'].sharding
    assert (manifest['step'], manifest['epoch'], manifest['version']) == (7, 7, 1)
    kernel = manifest['leaves']['params/stem/kernel']
    assert (kernel['shape'], kernel['dtype']) == ([3, 4], 'float32')
    assert manifest == store.manifest(7)
    assert_same(store.load(7, ABSTRACT)[0], make_state(7))


def test_what_is_not_wanted_is_not_read(tmp_path, monkeypatch):
    store, read = saved(tmp_path, 3), []
    load = orbax_files.load
    monkeypatch.setattr(orbax_files, 'load', lambda *a: read.extend(a[1]) or load(*a))
    manifest, wanted = store.manifest(3), {**ABSTRACT, 'opt_state': None}
    state = state_files.load(store.directories[3], manifest, ABSTRACT, wanted)
    assert_same(state, {**make_state(3), 'opt_state': None})
    assert {name.split('/')[0] for name in read} == {*ABSTRACT} - {'opt_state', 'none'}


def test_an_empty_store_restores_nothing_and_writes_nothing(tmp_path):
    store = CheckpointStore(tmp_path / 'none')
    assert store.restore(ABSTRACT, check=accept) is None
    assert store.steps() == []
    store.wait()
    assert not (tmp_path / 'none').exists()


def test_a_relative_directory_is_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = saved('checkpoints', 1)
    monkeypatch.chdir('/')
    assert store.steps() == [1]


def test_orbax_reads_our_checkpoints_without_us(tmp_path):
    from orbax.checkpoint import v1 as orbax

    saved(tmp_path, 1, 2)
    expected = {'half': make_state(2)['half']}
    context = orbax.Context()
    context.pytree.loading.partial_load = True
    with orbax.training.Checkpointer(tmp_path, context=context) as checkpointer:
        assert [found.step for found in checkpointer.checkpoints] == [1, 2]
        assert_same(checkpointer.load(2, abstract(expected)), expected)


def test_buffers_may_be_donated_as_soon_as_save_returns(tmp_path):
    @functools.partial(jax.jit, donate_argnums=0)
    def overwrite(arrays):
        return [x * 0 - 1 for x in arrays]

    store = CheckpointStore(tmp_path, keep=20)
    for step in range(6):
        arrays = [jnp.full((256, 257), step + i, 'float32') for i in range(8)]
        store.save(step, arrays, {})
        for _ in range(3):
            arrays = overwrite(arrays)
    store.wait()
    for step in range(6):
        state, _ = store.load(step, abstract(arrays))
        assert [float(x.min()) for x in state] == [step + i for i in range(8)]


def test_keeps_the_newest_and_those_that_are_named(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    for step in range(1, 7):
        store.save(step, make_state(step), {}, keep_steps={2})
    store.wait()
    assert store.steps() == [2, 5, 6]
    assert sorted(os.listdir(tmp_path)) == ['2', '5', '6']


def test_the_same_step_twice_is_saved_once(tmp_path):
    store = saved(tmp_path, 1, 1)
    with pytest.raises(UserError, match='another checkpoint of step 1'):
        store.save(1, make_state(3), {})
    assert_same(store.load(1, ABSTRACT)[0], make_state(1))


@pytest.mark.parametrize('facts', [{'step': 3}, {'loss': float('nan')}])
def test_a_manifest_that_cannot_be_is_refused(tmp_path, facts):
    with pytest.raises(ValueError):
        CheckpointStore(tmp_path).save(1, make_state(), facts)


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (
            make_state(width=6),
            r'stem/bias is float32 \[4\] in the checkpoint, but float32 \[6\] '
            r'here, and 5 more differ',
        ),
        (
            make_state(dtype='bfloat16'),
            r'stem/kernel is float32 \[3, 4\] .* but bfloat16 \[3, 4\]',
        ),
        (
            make_state() | {'ema': jnp.ones(2)},
            r'ema is absent in .* float32 \[2\] here',
        ),
        ({'step': jnp.int32(0)}, r'bytes is int8 \[6\] in .* but absent here'),
    ],
)
def test_another_model_is_a_mistake_and_never_falls_back(tmp_path, changed, message):
    store = saved(tmp_path, 1, 2)
    for read in (
        lambda: store.restore(abstract(changed), check=accept),
        lambda: store.load(2, abstract(changed)),
    ):
        with pytest.raises(UserError, match=message) as error:
            read()
        assert '\n' not in str(error.value)
    assert store.steps() == [1, 2]


def test_another_config_is_a_mistake_and_never_falls_back(tmp_path):
    def refuse(manifest):
        raise UserError(f'epoch {manifest["epoch"]} is of another experiment')

    store = saved(tmp_path, 1, 2)
    with pytest.raises(UserError, match='epoch 2 is of another'):
        store.restore(ABSTRACT, check=refuse)
    assert store.steps() == [1, 2]


DEVICES = """
import sys
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from trainer.checkpoints import CheckpointStore
mesh = jax.make_mesh((8,), ('data',))
def put(x, *spec):
    return jax.device_put(np.float32(x), NamedSharding(mesh, PartitionSpec(*spec)))
def state(seed):
    x = np.random.default_rng(seed).normal(size=(16, 3))
    return {'cut': put(x, 'data'), 'whole': put(2 * x)}
struct = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
store = CheckpointStore(sys.argv[1], keep=3)
loaded, _ = store.load(1, jax.tree.map(struct, state(1)))
assert loaded['cut'].sharding.spec == PartitionSpec('data')
assert all(np.array_equal(loaded[key], state(1)[key]) for key in loaded)
store.save(2, state(2), {})
store.wait()
"""


def test_one_device_saves_for_eight_and_eight_for_one(tmp_path):
    def state(seed):
        x = np.float32(np.random.default_rng(seed).normal(size=(16, 3)))
        everywhere = NamedSharding(jax.make_mesh((1,), ('data',)), PartitionSpec())
        return jax.device_put({'cut': x, 'whole': 2 * x}, everywhere)

    store = CheckpointStore(tmp_path, keep=3)
    first = state(1)
    store.save(1, first, {})
    store.wait()
    flags = '--xla_force_host_platform_device_count=8'
    python(DEVICES, tmp_path, XLA_FLAGS=flags)
    loaded, _ = store.restore(abstract(first), check=accept)
    np.testing.assert_array_equal(loaded['cut'], state(2)['cut'])


def test_orbax_is_not_imported_before_it_is_needed():
    code = 'import sys, trainer.checkpoints; print("orbax" in sys.modules)'
    assert python(code) == ['False']
