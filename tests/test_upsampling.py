"""The learnt doubling is `lax.conv_transpose`, in value and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from models.upsampling import TransposedConv, enlarge
from tests.pulled import draw, values_and_gradients


def reference(maps, kernel):
    return lax.conv_transpose(maps, kernel, (2, 2), 'SAME')


@pytest.mark.parametrize('shape', [(2, 1, 1, 3), (2, 4, 3, 5), (1, 8, 8, 16)])
def test_agrees_with_xla(shape):
    maps, kernel = draw(*shape), draw(2, 2, shape[-1], 4, seed=1)
    both = (values_and_gradients(f, maps, kernel) for f in (enlarge, reference))
    for ours, theirs in zip(*both, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-5)


def test_the_layer_is_that_of_flax():
    """The same weights under the same names, and the same maps."""
    ours = TransposedConv(3, 4, rngs=nnx.Rngs(0))
    theirs = nnx.ConvTranspose(3, 4, (2, 2), 2, rngs=nnx.Rngs(0))
    ours.bias[...] = theirs.bias[...] = draw(4, seed=1)
    states = nnx.state(ours), nnx.state(theirs)
    jax.tree.map(np.testing.assert_array_equal, *states)
    maps = draw(2, 3, 5, 3)
    np.testing.assert_allclose(ours(maps), theirs(maps), rtol=2e-6, atol=1e-6)


def test_its_gradient_is_no_convolution_of_xla():
    """Which is a naive loop, 25 times as slow."""
    gradient = jax.grad(lambda k, maps: jnp.sum(enlarge(maps, k) ** 2))
    lowered = jax.jit(gradient).lower(draw(2, 2, 3, 4), draw(2, 4, 4, 3))
    assert 'convolution' not in lowered.as_text('hlo')


@pytest.mark.parametrize('backend', ['gpu', 'tpu'])
def test_other_devices_keep_their_own(monkeypatch, backend):
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    program = str(jax.make_jaxpr(enlarge)(draw(2, 4, 4, 3), draw(2, 2, 3, 4)))
    assert 'conv_general_dilated' in program
