"""Which kernel computes attention: a fused one where there is one, else XLA's own.

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
    (Dao et al. 2022, https://arxiv.org/abs/2205.14135) keeps none.
    """
    chosen = 'xla' if _portable.get() else kernel(query.dtype, query.shape[-1])
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
