"""A transformer's block computes the same on rows as on whole arrays."""

import jax
import numpy as np
import pytest
from flax import nnx

from models.attention import MLPBlock, TransformerBlock
from models.rows import as_rows
from models.streams import make_rngs

TOKENS = jax.random.normal(jax.random.key(0), (3, 5, 8))


def test_positions_become_rows_on_a_cpu_alone(monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'cpu')
    assert as_rows(TOKENS).shape == (15, 8)
    np.testing.assert_array_equal(as_rows(TOKENS)[5], TOKENS[1, 0])
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    assert as_rows(TOKENS) is TOKENS


def outputs_and_gradient(block):
    """What a block gives for the tokens, and the gradient of their loss."""
    graph, params, rest = nnx.split(block, nnx.Param, ...)

    def loss(params):
        outputs = nnx.merge(graph, params, rest, copy=True)(TOKENS)
        return (outputs**2).sum(), outputs

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


@pytest.mark.parametrize('rate', [0.0, 0.5])
def test_a_block_computes_alike_on_every_device(rate, monkeypatch):
    made = {}
    for device in ('cpu', 'gpu'):
        monkeypatch.setattr(jax, 'default_backend', lambda device=device: device)
        block = TransformerBlock(8, 2, drop_path=rate, rngs=make_rngs(0))
        made[device] = jax.tree.leaves(outputs_and_gradient(block))
    for ours, theirs in zip(made['cpu'], made['gpu'], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_mlp_keeps_the_shape_of_maps():
    maps = TOKENS.reshape(3, 1, 5, 8)
    layer = MLPBlock(8, 16, rngs=make_rngs(0))
    np.testing.assert_allclose(
        layer(maps), layer(TOKENS).reshape(maps.shape), atol=1e-6
    )
