"""Fingerprints see every change, and nothing but changes."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.checkpoint_states import python
from trainer import host_words
from trainer.fingerprints import (
    compile_fingerprints,
    fingerprints,
    named_leaves,
    not_finite,
)

ROOT = pathlib.Path(__file__).resolve().parents[1]
DTYPES = [
    *('bool', 'int8', 'uint8', 'int16', 'int32', 'uint32', 'complex64'),
    *('float16', 'bfloat16', 'float32', 'float8_e4m3fn'),
]


def by_hand(array) -> str:
    """The formula in plain Python, word by word."""
    array = np.asarray(array)
    if array.dtype.itemsize >= 4:
        words = array.reshape(-1).view(np.uint32)
    elif array.dtype.kind in 'bi':
        words = array.reshape(-1).astype(np.int64)
    else:
        words = array.reshape(-1).view(f'uint{8 * array.dtype.itemsize}')
    total = 0
    for position, word in enumerate(words.tolist()):
        h = (word + position * 0x9E3779B1 + 0x7F4A7C15) % 2**32
        h = (h ^ (h >> 16)) * 0x85EBCA6B % 2**32
        h = (h ^ (h >> 13)) * 0xC2B2AE35 % 2**32
        total += h ^ (h >> 16)
    return f'{total % 2**32:08x}'


def some(dtype, shape=(3, 4, 5)):
    rng = np.random.default_rng(0)
    if dtype == 'complex64':
        return jnp.asarray(rng.normal(size=shape) + 1j, dtype)
    return jnp.asarray(rng.normal(size=shape) * 3, dtype)


def one(array) -> str:
    return fingerprints({'x': array})['x']


@pytest.mark.parametrize('dtype', DTYPES)
def test_is_the_formula_for_every_type(dtype):
    array = some(dtype)
    assert one(array) == by_hand(array)


def test_scalars_and_empty_leaves_have_one():
    assert one(jnp.float32(1.5)) == by_hand(np.float32([1.5]))
    assert one(jnp.zeros((0, 3))) == '00000000'
    assert one(jnp.zeros(1)) != one(jnp.zeros((0,)))


@pytest.mark.parametrize('length', [7, 8, 64, 72, 203])
def test_is_the_formula_in_however_many_pieces_it_is_read(monkeypatch, length):
    monkeypatch.setattr(host_words, 'PIECES', (64, 8))
    array = some('float32', (length,))
    assert one(array) == by_hand(array)


def test_leaves_of_many_shapes_share_a_few_programs():
    programs = []

    def listen(event, _seconds, **_details):
        programs.extend([event] if event.endswith('backend_compile_duration') else [])

    leaves = {str(n): np.ones(n, np.float32) for n in (3, 70_000, 80_000, 2**20 + 9)}
    leaves = jax.device_put(leaves)
    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        compile_fingerprints(leaves)
        assert len(programs) == len(host_words.PIECES)
        fingerprints(leaves), not_finite(leaves)
        assert len(programs) == len(host_words.PIECES)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_every_single_bit_is_seen():
    words = np.random.default_rng(1).integers(0, 2**32, 16, dtype=np.uint32)
    seen = {one(jnp.asarray(words))}
    for position in range(16):
        for bit in range(32):
            flipped = words.copy()
            flipped[position] ^= np.uint32(1 << bit)
            seen.add(one(jnp.asarray(flipped)))
    assert len(seen) == 1 + 16 * 32


@pytest.mark.parametrize('change', ['swap', 'two signs', 'zeroed', 'minus zero'])
def test_sees_what_a_plain_sum_would_not(change):
    array = np.random.default_rng(2).normal(size=64).astype(np.float32)
    array[9] = 0.0
    other = array.copy()
    if change == 'swap':
        other[[3, 40]] = array[[40, 3]]
    elif change == 'two signs':
        other[[3, 40]] *= -1
    elif change == 'zeroed':
        other[16:32] = 0
    else:
        other[9] = -0.0
    assert one(jnp.asarray(array)) != one(jnp.asarray(other))


def test_paths_are_readable_and_single():
    state = {'params': {'stem': [jnp.ones(1)]}, 'step': jnp.int32(0)}
    assert list(named_leaves(state)) == ['params/stem/0', 'step']
    with pytest.raises(ValueError, match='one path'):
        named_leaves({'a/b': jnp.ones(1), 'a': {'b': jnp.ones(1)}})


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_finds_what_is_not_finite(bad):
    state = {'a': jnp.ones((2, 3)), 'n': jnp.int32(3), 'h': jnp.ones(2, 'bfloat16')}
    assert not_finite(state) == not_finite({'n': jnp.int32(3)}) == []
    assert not_finite(state | {'h': jnp.array([1, bad], 'bfloat16')}) == ['h']


DEVICES = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from trainer.fingerprints import fingerprints
array = np.random.default_rng(0).normal(size=(16, 24)).astype(np.float32)
for count in (1, 2, 8):
    mesh = jax.make_mesh((count,), ('data',), devices=jax.devices()[:count])
    for spec in ((), ('data',), (None, 'data')):
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        print(fingerprints({'x': jax.device_put(array, sharding)})['x'])
"""


def test_is_the_same_on_any_number_of_devices_and_for_any_sharding():
    flags = '--xla_force_host_platform_device_count=8'
    environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
    command = [sys.executable, '-c', DEVICES]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    array = np.random.default_rng(0).normal(size=(16, 24)).astype(np.float32)
    assert set(run.stdout.split()) == {one(jax.device_put(array))}
    assert len(run.stdout.split()) == 9


CORRUPTED = """
import jax, numpy as np, sys
from jax.sharding import NamedSharding, PartitionSpec
from trainer.checkpoints import CheckpointStore
from trainer.errors import TrainingFailed
mesh = jax.make_mesh((4,), ('data',))
copies = [np.ones((3, 5), np.float32) for _ in range(4)]
copies[2][1, 4] += 1e-6
arrays = [jax.device_put(c, d) for c, d in zip(copies, mesh.devices.flat)]
sharding = NamedSharding(mesh, PartitionSpec())
x = jax.make_array_from_single_device_arrays((3, 5), sharding, arrays)
store = CheckpointStore(sys.argv[1])
try:
    store.save(1, {'params': {'kernel': x}}, {})
except TrainingFailed as error:
    print(error)
    print(jax.devices()[2])
print(store.steps())
"""


def test_a_copy_that_differs_on_one_device_is_found_and_not_saved(tmp_path):
    flags = '--xla_force_host_platform_device_count=4'
    message, device, steps = python(CORRUPTED, tmp_path / 'ours', XLA_FLAGS=flags)
    assert message.startswith(f'params/kernel on {device} is not what the other')
    assert steps == '[]'
