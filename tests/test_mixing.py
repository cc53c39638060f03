"""Keys of weights and steps: as random as they need, the same on every device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer.mixing import make_key, mixed


def test_is_a_bijection_of_words_and_of_positions():
    words = np.random.default_rng(0).integers(0, 2**32, 2**16, dtype=np.uint32)
    words = np.unique(words)
    seven = np.full(1, 7, np.uint32)
    assert len(np.unique(mixed(words, seven))) == len(words)
    assert len(np.unique(mixed(seven, words))) == len(words)


@pytest.mark.parametrize('seed', range(3))
def test_bits_are_even_independent_and_change_by_half_with_any_bit(seed):
    key = make_key(seed)
    bits = np.asarray(jax.random.bits(key, (2**16,)))
    ones = np.unpackbits(bits.view(np.uint8)).reshape(-1, 32)
    near = 5 * 0.5 / 2**8  # five standard deviations of the mean of 2 ** 16 bits
    assert abs(ones.mean(axis=0) - 0.5).max() < near
    for other in (jax.random.fold_in(key, 1), make_key(seed + 1)):
        others = np.asarray(jax.random.bits(other, (2**16,)))
        changed = np.unpackbits((bits ^ others).view(np.uint8)).reshape(-1, 32)
        assert abs(changed.mean(axis=0) - 0.5).max() < near
    for lag in (1, 2, 64):
        changed = np.unpackbits((bits[lag:] ^ bits[:-lag]).view(np.uint8))
        assert abs(changed.reshape(-1, 32).mean(axis=0) - 0.5).max() < near


@pytest.mark.parametrize('seed', range(3))
def test_normals_have_the_moments_of_normals(seed):
    drawn = np.asarray(jax.random.normal(make_key(seed), (512, 512))).ravel()
    moments = [np.mean(drawn**power) for power in (1, 2, 3, 4)]
    spread = np.sqrt(np.array([1, 2, 15, 96]) / drawn.size)
    assert (abs(np.array(moments) - [0, 1, 0, 3]) < 5 * spread).all()


def test_no_two_keys_are_alike_however_they_were_made():
    key = make_key(0)
    made = [make_key(seed) for seed in range(50)]
    made += [jax.random.fold_in(key, data) for data in range(50)]
    made += list(jax.random.split(key, 50))
    made += list(jax.random.split(key, (5, 5)).reshape(-1))
    split = len(made) - 25
    seen = [tuple(np.asarray(jax.random.key_data(k)).tolist()) for k in made]
    assert len(set(seen[:split])) == split
    assert seen[split:] == seen[split - 50 : split - 25]


def test_takes_every_width():
    key = make_key(0)
    wide = np.asarray(jax.random.bits(key, (64,), 'uint32'))
    for width in (8, 16):
        bits = np.asarray(jax.random.bits(key, (64,), f'uint{width}'))
        assert (bits == wide >> (32 - width)).all()
    assert jax.random.normal(key, (3,), jnp.bfloat16).dtype == jnp.bfloat16
    with jax.enable_x64(True):
        words = np.asarray(jax.random.bits(key, (64,), 'uint64'))
        high, low = words >> np.uint64(32), words & np.uint64(2**32 - 1)
        assert len({*high.tolist(), *low.tolist()}) == 128
        assert jax.random.uniform(key, (3,)).dtype == np.float64
