"""An MLP is the dense layers and the GELU that its paper has."""

import math

import jax
import numpy as np
import pytest
from flax import nnx

from models import MLP


def gelu(x):
    """As the paper approximates it: Hendrycks and Gimpel 2016, section 2."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(('width', 'depth'), [(5, 1), (7, 3)])
def test_an_mlp_is_that_many_dense_layers_with_gelu(width, depth):
    sizes = {'hidden_dim': width, 'num_layers': depth, 'dropout': 0.0}
    net = MLP((2, 3, 1), **sizes, rngs=nnx.Rngs(0))
    images = 2 * jax.random.normal(jax.random.key(1), (9, 2, 3, 1))
    found = np.asarray(images, np.float64).reshape(9, 6)
    assert len(net.layers) == depth
    for layer in net.layers:
        kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
        assert bias.shape == (width,)
        found = gelu(found @ kernel + bias)
    np.testing.assert_allclose(net(images)[0], found, rtol=0, atol=1e-5)
