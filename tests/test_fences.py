"""What is fenced is computed once, on CPUs alone, and gives the same numbers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models.blocks import ConvNorm
from models.fences import fenced
from models.norms import MANY_IMAGES


@fenced
def softly(maps):
    return jnp.tanh(maps)


def loss(maps, kernel):
    """Reads what is fenced in a product, and turned round in its gradient."""
    return jnp.sum((softly(maps) @ kernel) ** 2 + softly(maps).T)


@pytest.fixture
def given():
    return (
        jax.random.normal(jax.random.key(0), (6, 6)),
        jax.random.normal(jax.random.key(1), (6, 6)),
    )


def calls(function, *given):
    """How many fences XLA has left in the program."""
    traced_anew = jax.jit(lambda *arrays: function(*arrays))
    text = traced_anew.lower(*given).compile().as_text()
    return len(re.findall(r' call\(.*inlineable="false"', text))


def test_what_is_fenced_stays_a_call_and_gives_the_same(given):
    assert calls(loss, *given) > 0
    np.testing.assert_allclose(softly(given[0]), jnp.tanh(given[0]), rtol=1e-6)


def test_other_devices_are_given_no_fence(given, monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    assert calls(loss, *given) == 0


def test_derivatives_go_through_a_fence(given):
    def plain(maps, kernel):
        return jnp.sum((jnp.tanh(maps) @ kernel) ** 2 + jnp.tanh(maps).T)

    for order in (jax.grad, lambda f: jax.grad(lambda *a: jnp.sum(jax.grad(f)(*a)))):
        np.testing.assert_allclose(
            order(loss)(*given), order(plain)(*given), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(('images', 'expected'), [(MANY_IMAGES, 1), (2, 0)])
def test_a_step_writes_activated_maps_of_many_images_out_once(images, expected):
    graph, state = nnx.split(ConvNorm(3, 8, rngs=nnx.Rngs(0)))

    def total(state, maps):
        return jnp.square(nnx.merge(graph, state, copy=True)(maps)).sum()

    assert calls(jax.grad(total), state, jnp.ones((images, 8, 8, 3))) == expected
