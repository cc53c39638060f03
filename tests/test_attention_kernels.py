"""The kernel of attention follows device, dtype and head; what is exported fits all."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import attention_kernels
from models.attention import Attention
from models.attention_kernels import attend, kernel, portable
from models.streams import make_rngs


def device(platform='gpu', **facts):
    return types.SimpleNamespace(platform=platform, **facts)


HOPPER = device(compute_capability='9.0')
CASES = [
    ('bfloat16', 64, HOPPER, 'cudnn'),
    ('float16', 64, device(compute_capability='8.0'), 'cudnn'),
    ('bfloat16', 128, HOPPER, 'cudnn'),
    ('float32', 64, HOPPER, 'xla'),
    ('bfloat16', 136, HOPPER, 'xla'),
    ('bfloat16', 60, HOPPER, 'xla'),
    ('bfloat16', 64, device(compute_capability='7.5'), 'xla'),
    ('bfloat16', 64, device(compute_capability='gfx90a'), 'xla'),
    ('bfloat16', 64, device(), 'xla'),
    ('bfloat16', 64, device('tpu'), 'xla'),
    ('bfloat16', 64, device('cpu'), 'xla'),
]


@pytest.mark.parametrize(('dtype', 'head_size', 'where', 'chosen'), CASES)
def test_the_fused_kernel_is_taken_where_it_works(dtype, head_size, where, chosen):
    assert kernel(dtype, head_size, where) == chosen


def test_this_machine_is_asked_unless_another_is_named(monkeypatch):
    assert kernel('bfloat16', 64) == 'xla' or jax.default_backend() == 'gpu'
    monkeypatch.setattr(jax, 'devices', lambda: [HOPPER])
    assert kernel('bfloat16', 64) == 'cudnn'


def test_what_is_chosen_is_used_but_not_for_export(monkeypatch):
    asked = []

    def attention(query, key, value, implementation):
        asked.append(implementation)
        return value

    monkeypatch.setattr(jax.nn, 'dot_product_attention', attention)
    monkeypatch.setattr(attention_kernels, 'kernel', lambda dtype, size: 'cudnn')
    tokens = jnp.ones((1, 2, 1, 8))
    attend(tokens, tokens, tokens)
    with portable():
        attend(tokens, tokens, tokens)
    assert asked == ['cudnn', 'xla']


def test_attention_is_the_softmax_of_the_papers():
    layer = Attention(8, 2, rngs=make_rngs(0))
    tokens = jax.random.normal(jax.random.key(1), (3, 5, 8))
    made = tokens @ layer.qkv.kernel[...] + layer.qkv.bias[...]
    query, key, value = jnp.moveaxis(made.reshape(3, 5, 3, 2, 4), 2, 0)
    weights = jax.nn.softmax(jnp.einsum('bqhd,bkhd->bhqk', query, key) / 2)
    mixed = jnp.einsum('bhqk,bkhd->bqhd', weights, value).reshape(3, 5, 8)
    expected = mixed @ layer.out.kernel[...] + layer.out.bias[...]
    np.testing.assert_allclose(layer(tokens), expected, atol=1e-5)


def uneven(attention, dtype='float32'):
    """Output and gradients of a sum with uneven weights, one after another."""
    draws = jax.random.normal(jax.random.key(0), (3, 2, 7, 3, 12)).astype('bfloat16')

    def total(parts):
        made = attention(*parts)
        weights = jnp.sin(jnp.arange(made.size)).reshape(made.shape)
        return jnp.sum(made * weights), made

    made = jax.grad(total, has_aux=True)(tuple(3 * draws.astype(dtype)))
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(made))
    return np.stack([np.float32(leaf) for leaf in jax.tree.leaves(made)])


def test_the_attention_of_the_cpu_is_that_of_jax_with_its_gradients():
    expected = uneven(jax.nn.dot_product_attention)
    np.testing.assert_allclose(uneven(attention_by_heads), expected, atol=1e-5)


def test_half_precision_costs_the_attention_of_the_cpu_no_more_than_that_of_jax():
    exact = uneven(jax.nn.dot_product_attention)
    ours, theirs = (
        np.abs(uneven(attention, 'bfloat16') - exact).mean()
        for attention in (attention_by_heads, jax.nn.dot_product_attention)
    )
    assert ours <= 1.1 * theirs


def attention_by_heads(*parts):
    heads_first = (jnp.swapaxes(part, 1, 2) for part in parts)
    return jnp.swapaxes(attention_kernels.attend_by_heads(*heads_first), 1, 2)


def test_scores_of_any_size_stay_finite():
    parts = 1e4 * jax.random.normal(jax.random.key(0), (3, 2, 7, 3, 12))
    made = jax.value_and_grad(lambda parts: attention_by_heads(*parts).sum())(parts)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(made))


def test_a_cpu_takes_its_own_attention_but_not_for_export(monkeypatch):
    asked = []
    monkeypatch.setattr(jax, 'default_backend', lambda: 'cpu')
    monkeypatch.setattr(
        attention_kernels, 'attend_by_heads', lambda q, k, v: asked.append(q.shape) or v
    )
    tokens = jnp.ones((1, 2, 3, 8))
    monkeypatch.setattr(attention_kernels, 'kernel', lambda dtype, size: 'xla')
    assert attend(tokens, tokens, tokens).shape == tokens.shape
    with portable():
        attend(tokens, tokens, tokens)
    assert asked == [(1, 3, 2, 8)]
