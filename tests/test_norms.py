"""Layer normalisation and its gradients are Flax's own, in every dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models.norms import LayerNorm


@pytest.fixture
def norm():
    layer = LayerNorm(24, rngs=nnx.Rngs(0))
    layer.scale.set_value(jax.random.normal(jax.random.key(1), 24))
    layer.bias.set_value(jax.random.normal(jax.random.key(2), 24))
    return layer


def gradients(layer, call, maps):
    """Of a sum with uneven weights, by the maps and by the parameters."""
    graph, state = nnx.split(layer)

    def total(state, maps):
        made = call(nnx.merge(graph, state), maps)
        return jnp.sum(made * jnp.sin(jnp.arange(made.size)).reshape(made.shape))

    return jax.tree.leaves(jax.grad(total, argnums=(0, 1))(state, maps))


@pytest.mark.parametrize('shape', [(5, 24), (3, 5, 24), (2, 3, 4, 24), (24,)])
def test_layer_norm_is_that_of_flax_with_its_gradients(norm, shape):
    maps = 3 + 2 * jax.random.normal(jax.random.key(0), shape)
    expected = nnx.LayerNorm.__call__(norm, maps)
    np.testing.assert_allclose(norm(maps), expected, atol=1e-5)
    ours = gradients(norm, LayerNorm.__call__, maps)
    theirs = gradients(norm, nnx.LayerNorm.__call__, maps)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_half_precision_is_normalised_in_float32(norm):
    maps = 100 + jax.random.normal(jax.random.key(0), (5, 24), jnp.bfloat16)
    made = norm(maps)
    exact = norm(maps.astype(jnp.float32))
    assert made.dtype == jnp.bfloat16
    np.testing.assert_array_equal(made, exact.astype(jnp.bfloat16))
    for gradient in gradients(norm, LayerNorm.__call__, maps):
        assert np.isfinite(gradient).all()


def test_other_devices_normalise_alike(norm, monkeypatch):
    maps = jax.random.normal(jax.random.key(0), (2, 5, 24))
    here = norm(maps)
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    np.testing.assert_allclose(norm(maps), here, atol=1e-6)


def test_a_constant_position_has_a_finite_gradient(norm):
    for gradient in gradients(norm, LayerNorm.__call__, jnp.ones((3, 24))):
        assert np.isfinite(gradient).all()
