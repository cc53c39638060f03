"""Which kernel computes attention: a fused one, XLA's own, or one for the CPU.

Knows devices, dtypes and sizes; nothing of layers.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

OLDEST = 8.0  # compute capability that cuDNN's attention needs: Ampere
LARGEST = 128  # channels of a head on every such device; Hopper takes 256

_portable = contextvars.ContextVar('portable', default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """What is traced meanwhile can be lowered for devices of every kind."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


def attend(query, key, value):
    """Softmax attention without a mask, all `[B, N, heads, D] -> [B, N, heads, D]`.

    `jax.nn.dot_product_attention`, which takes XLA's own kernel unless told: that
    one keeps `[B, heads, N, N]` weights, in float32, for the gradient; the fused one
    (Dao et al. 2022, https://arxiv.org/abs/2205.14135) keeps none. On a CPU there is
    `attend_by_heads`.
    """
    anywhere = _portable.get()
    chosen = 'xla' if anywhere else kernel(query.dtype, query.shape[-1])
    if chosen == 'xla' and jax.default_backend() == 'cpu' and not anywhere:
        heads_first = (jnp.swapaxes(part, 1, 2) for part in (query, key, value))
        return jnp.swapaxes(attend_by_heads(*heads_first), 1, 2)
    return jax.nn.dot_product_attention(query, key, value, implementation=chosen)


def kernel(dtype, head_size: int, device=None) -> str:
    """'cudnn' on a CUDA device that can, in half precision; 'xla' elsewhere.

    Args:
      dtype: of queries, keys and values.
      head_size: channels of a head.
      device: a JAX device; the default one unless said.
    """
    device = device or jax.devices()[0]
    fits = head_size <= LARGEST and head_size % 8 == 0
    half = jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16)
    return 'cudnn' if half and fits and _capability(device) >= OLDEST else 'xla'


def _capability(device) -> float:
    """Such as 9.0 for Hopper; 0 for what is no CUDA device (AMD's say 'gfx90a')."""
    try:
        return float(device.compute_capability) if device.platform == 'gpu' else 0.0
    except (AttributeError, ValueError):
        return 0.0


@jax.custom_vjp
def attend_by_heads(query, key, value):
    """Softmax attention without a mask, all `[B, heads, N, D] -> [B, heads, N, D]`.

    Weights are float32 and kept. Their gradient takes each query's sum from what went
    out, D numbers and not N (Dao et al. 2022, appendix B.2), and softmax is no step of
    its own, so that XLA's CPU compiler writes out fewer arrays of `[B, heads, N, N]`.
    """
    return _mixed(query, key, value)[0]


def _mixed(query, key, value):
    """The output, and what its gradient needs."""
    scores = _product('bhqd,bhkd->bhqk', query, key)
    scores = (scores - scores.max(-1, keepdims=True)) * query.shape[-1] ** -0.5
    shares = jnp.exp(scores)
    weights = shares * (1 / shares.sum(-1, keepdims=True))
    mixed = _product('bhqk,bhkd->bhqd', weights.astype(value.dtype), value)
    return mixed.astype(value.dtype), (query, key, value, weights, mixed)


def _gradients(kept, change):
    """Of queries, keys and values."""
    query, key, value, weights, mixed = kept
    to_value = _product('bhqk,bhqd->bhkd', weights.astype(change.dtype), change)
    to_weights = _product('bhqd,bhkd->bhqk', change, value)
    sums = jnp.sum(change.astype(mixed.dtype) * mixed, axis=-1, keepdims=True)
    to_scores = weights * (to_weights - sums)
    to_scores = (to_scores * query.shape[-1] ** -0.5).astype(change.dtype)
    to_query = _product('bhqk,bhkd->bhqd', to_scores, key)
    to_key = _product('bhqk,bhqd->bhkd', to_scores, query)
    return tuple(part.astype(query.dtype) for part in (to_query, to_key, to_value))


attend_by_heads.defvjp(_mixed, _gradients)


def _product(letters: str, left, right):
    """A product of many matrices, summed in float32 or better."""
    exact = jnp.promote_types(left.dtype, jnp.float32)
    return jnp.einsum(letters, left, right, preferred_element_type=exact)
