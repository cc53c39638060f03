"""Maxima are those of `nnx.max_pool`, and so are their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models.pooling import max_pool
from tests.pulled import draw, values_and_gradients

IMAGENET = ((3, 3), (2, 2), ((1, 1), (1, 1)))
HALVES = ((2, 2), (2, 2), 'SAME')


def rectified(*shape, dtype=jnp.float32):
    """Half of them zeros, as behind a ReLU, so that many are equal."""
    return jnp.maximum(draw(*shape), 0).astype(dtype)


def assert_same(images, *window):
    ours, theirs = (
        values_and_gradients(lambda maps, pool=pool: pool(maps, *window), images)
        for pool in (max_pool, nnx.max_pool)
    )
    assert ours[0].dtype == theirs[0].dtype
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize('size', range(1, 8))
@pytest.mark.parametrize('window', [IMAGENET, HALVES], ids=['imagenet', 'halves'])
def test_agrees_on_maps_of_any_size(window, size):
    assert_same(rectified(2, size, 9 - size, 3), *window)


@pytest.mark.parametrize('padding', ['SAME', 'VALID', ((0, 2), (1, 0))])
@pytest.mark.parametrize('strides', [(1, 1), (2, 1), (3, 2)])
def test_agrees_on_uneven_windows_and_paddings(strides, padding):
    assert_same(rectified(2, 7, 6, 3), (3, 2), strides, padding)


def test_agrees_in_bfloat16():
    assert_same(rectified(2, 8, 8, 3, dtype=jnp.bfloat16), *HALVES)


def test_nan_is_kept_wherever_it_lies():
    for place in np.ndindex(2, 2):
        images = rectified(1, 2, 2, 1).at[0, *place, 0].set(jnp.nan)
        assert jnp.isnan(max_pool(images, *HALVES)).all()


def test_no_window_is_looked_through_for_the_gradient():
    """XLA's `select-and-scatter` is the naive loop."""
    images = rectified(2, 8, 8, 3)
    gradient = jax.grad(lambda maps: jnp.sum(max_pool(maps, *IMAGENET) ** 2))
    assert 'select-and-scatter' not in jax.jit(gradient).lower(images).as_text('hlo')


@pytest.mark.parametrize('backend', ['gpu', 'tpu'])
def test_other_devices_keep_their_own(monkeypatch, backend):
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    program = str(
        jax.make_jaxpr(lambda maps: max_pool(maps, *HALVES))(rectified(1, 4, 4, 1))
    )
    assert 'reduce_window_max' in program
