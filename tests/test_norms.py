"""Layer and batch normalisation and their gradients are Flax's own, in every dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import norms
from models.norms import MANY_IMAGES, BatchNorm, LayerNorm, batch_norm


def drawn(layer):
    """The layer with scales and biases that are not those of its start."""
    for seed, parameter in enumerate((layer.scale, layer.bias), 1):
        parameter.set_value(jax.random.normal(jax.random.key(seed), parameter.shape))
    return layer


@pytest.fixture
def norm():
    return drawn(LayerNorm(24, rngs=nnx.Rngs(0)))


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


@pytest.fixture
def batch():
    return drawn(batch_norm(6, rngs=nnx.Rngs(0)))


def maps_and_shortcut(images):
    draw = jax.random.normal(jax.random.key(3), (2, images, 3, 5, 6))
    return 3 + 2 * draw[0], draw[1]


@pytest.mark.parametrize('images', [2, MANY_IMAGES])
@pytest.mark.parametrize('activation', [None, nnx.relu, nnx.silu])
def test_batch_norm_is_that_of_flax_with_its_gradients(batch, images, activation):
    maps, shortcut = maps_and_shortcut(images)

    def ours(layer, maps):
        return layer(maps, jnp.sin(maps) * shortcut, activation)

    def theirs(layer, maps):
        made = nnx.BatchNorm.__call__(layer, maps) + jnp.sin(maps) * shortcut
        return made if activation is None else activation(made)

    np.testing.assert_allclose(ours(batch, maps), theirs(batch, maps), atol=1e-5)
    pairs = zip(
        gradients(batch, ours, maps), gradients(batch, theirs, maps), strict=True
    )
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_batch_norm_moves_its_statistics_as_flax_does(batch):
    maps, _ = maps_and_shortcut(4)
    other = nnx.clone(batch)
    batch(maps), nnx.BatchNorm.__call__(other, maps)
    np.testing.assert_allclose(batch.mean[...], other.mean[...], atol=1e-6)
    np.testing.assert_allclose(batch.var[...], other.var[...], atol=1e-6)
    batch.use_running_average = other.use_running_average = True
    there = nnx.BatchNorm.__call__(other, maps)
    np.testing.assert_allclose(batch(maps), there, atol=1e-5)


def test_what_is_made_of_the_moments_of_a_batch_has_its_gradient_too(batch):
    given = *maps_and_shortcut(MANY_IMAGES), batch.scale[...], batch.bias[...]

    def total(normalise, maps, shortcut, scale, bias):
        parts = normalise(maps, scale, bias, shortcut, 1e-5, nnx.relu)
        return sum(jnp.sum(part * jnp.cos(part)) for part in parts)

    for one, other in zip(
        jax.grad(total, argnums=(1, 2, 3, 4))(norms.batch_normalised, *given),
        jax.grad(total, argnums=(1, 2, 3, 4))(norms._batch_normalised, *given),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-4)


def test_half_precision_batches_are_normalised_in_float32(batch):
    maps, shortcut = maps_and_shortcut(MANY_IMAGES)
    half = maps.astype(jnp.bfloat16), shortcut.astype(jnp.bfloat16)
    exact = batch(half[0].astype(jnp.float32)).astype(jnp.bfloat16)
    made = batch(*half, nnx.relu)
    assert made.dtype == jnp.bfloat16
    np.testing.assert_array_equal(made, nnx.relu(exact + half[1]))
    for gradient in gradients(batch, BatchNorm.__call__, half[0]):
        assert np.isfinite(gradient).all()


def test_other_devices_normalise_batches_alike(batch, monkeypatch):
    maps, shortcut = maps_and_shortcut(MANY_IMAGES)
    here = nnx.clone(batch)(maps, shortcut, nnx.relu)
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    there = batch(maps, shortcut, nnx.relu)
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_the_gradient_of_a_variance_that_rounding_made_negative_is_none(batch):
    maps = 1000 + 1e-3 * jax.random.normal(jax.random.key(0), (64, 6))
    given = maps, batch.scale[...], batch.bias[...], None
    assert (norms._moments(maps)[1] == 0).any()

    def total(normalise, maps, *others):
        return jnp.sum(normalise(maps, *others, 1e-5, None)[0] * jnp.sin(maps))

    ours = jax.grad(total, argnums=1)(norms.batch_normalised, *given)
    theirs = jax.grad(total, argnums=1)(norms._batch_normalised, *given)
    cut = norms._moments(maps)[1] == 0
    np.testing.assert_allclose(ours[:, cut], theirs[:, cut], rtol=1e-2, atol=1)


def test_gradients_have_the_dtypes_of_what_they_are_of(batch):
    maps, shortcut = maps_and_shortcut(MANY_IMAGES)
    bias = batch.bias[...].astype(jnp.bfloat16)
    given = maps, batch.scale[...], bias, shortcut.astype(jnp.bfloat16)

    def total(*given):
        return jnp.sum(norms.batch_normalised(*given, 1e-5, nnx.relu)[0])

    changes = jax.grad(total, argnums=(0, 1, 2, 3))(*given)
    assert [c.dtype for c in changes] == [g.dtype for g in given]
