"""Normalisations that work in float32 and hand back the dtype of what they got.

Each is made from the number of channels alone, so that a net can take another.
"""

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
        return super().__call__(maps).astype(maps.dtype)
