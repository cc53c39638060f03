"""Normalisations that work in float32 and hand back the dtype of what they got.

Each is made from the number of channels alone, so that a net can take another.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx


def batch_norm(channels: int, *, epsilon: float = 1e-5, rngs: nnx.Rngs) -> nnx.Module:
    """Over the batch and all positions, with running statistics for evaluation.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Under `jit` the batch is
    the global one, whatever the number of devices. The decay of 0.9 is torch's
    momentum 0.1.
    """
    return BatchNorm(
        channels, momentum=0.9, epsilon=epsilon, dtype='float32', rngs=rngs
    )


def group_norm(channels: int, *, rngs: nnx.Rngs) -> nnx.Module:
    """Within each image over its positions and a group of its channels.

    Wu and He 2018, https://arxiv.org/abs/1803.08494. For batches too small for
    batch normalisation: images do not meet, and training is as evaluation. There are
    32 groups, or fewer where these do not divide the channels.
    """
    return GroupNorm(
        channels,
        num_groups=math.gcd(32, channels),
        epsilon=1e-5,
        dtype='float32',
        rngs=rngs,
    )


class BatchNorm(nnx.BatchNorm):
    """`nnx.BatchNorm` whose activations keep their dtype, and that is traced faster.

    There, running statistics would be rounded to the dtype of the activations; and
    assigning them by index asks tracers for their sharding, which takes a time that
    grows with the square of the net: 8 of 9 seconds for ResNet-152.
    """

    def __call__(self, maps):
        """`[B, ..., D] -> [B, ..., D]`; in training the running statistics move."""
        exact = maps.astype(jnp.float32)
        mean, var = self.mean[...], self.var[...]
        if not self.use_running_average:
            mean, var = self._observe(exact, mean, var)
        scale = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)
        return ((exact - mean) * scale + self.bias[...]).astype(maps.dtype)

    def _observe(self, maps, mean, var):
        """Mean and variance of the batch, towards which the running ones move."""
        axes = tuple(range(maps.ndim - 1))
        batch_mean = maps.mean(axes)
        batch_var = jnp.maximum(0.0, jnp.square(maps).mean(axes) - batch_mean**2)
        kept = self.momentum
        self.mean.set_value(kept * mean + (1 - kept) * batch_mean)
        self.var.set_value(kept * var + (1 - kept) * batch_var)
        return batch_mean, batch_var


class GroupNorm(nnx.GroupNorm):
    """`nnx.GroupNorm` whose activations keep their dtype."""

    def __call__(self, maps):
        return super().__call__(maps).astype(maps.dtype)


class LayerNorm(nnx.LayerNorm):
    """Over the channels of each position: `[..., D] -> [..., D]`.

    Ba et al. 2016, https://arxiv.org/abs/1607.06450, with the epsilon of ViT and
    ConvNeXt, 1e-6.
    """

    def __init__(self, channels: int, *, rngs: nnx.Rngs):
        super().__init__(
            channels,
            epsilon=1e-6,
            dtype=jnp.float32,
            use_fast_variance=False,
            rngs=rngs,
        )

    def __call__(self, maps):
        """`[..., D] -> [..., D]`"""
        if jax.default_backend() != 'cpu':
            return super().__call__(maps).astype(maps.dtype)
        exact = maps.astype(jnp.float32)
        made = layer_norm(exact, self.scale[...], self.bias[...], self.epsilon)
        return made.astype(maps.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(maps, scale, bias, epsilon: float):
    """Layer normalisation `[..., D] -> [..., D]` whose gradient takes few passes.

    XLA's CPU compiler runs each sum of the derivative that JAX makes of it by itself,
    and writes out what goes into it. Here these are matrix products with `scale`, and
    all that is kept is what was normalised and one number a position.
    """
    return _normalised(maps, scale, bias, epsilon)[0]


def _normalised(maps, scale, bias, epsilon):
    """The output, and what its gradient needs."""
    centred = maps - maps.mean(-1, keepdims=True)
    factor = jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)
    normal = centred * factor
    return normal * scale + bias, (normal, factor, scale)


def _gradients(epsilon, kept, change):
    """Of maps, scale and bias."""
    normal, factor, scale = kept
    product, channels = change * normal, scale.size
    mean, along = ((part @ scale)[..., None] / channels for part in (change, product))
    axes = tuple(range(change.ndim - 1))
    to_maps = factor * (change * scale - mean - normal * along)
    return to_maps, product.sum(axes), change.sum(axes)


layer_norm.defvjp(_normalised, _gradients)
