"""Normalisations that work in float32 and hand back the dtype of what they got.

Each is made from the number of channels alone, so that a net can take another.
"""

import functools
import math

import jax
import jax.numpy as jnp
from flax import nnx

from models.fences import fenced

# Of 64 images a train step of ResNet-18 takes 0.91 of the time where activated maps are
# written out once, of 16 as long, of 2 to 8 images of 224 pixels 1.03 to 1.1.
MANY_IMAGES = 16


def batch_norm(channels: int, *, epsilon: float = 1e-5, rngs: nnx.Rngs) -> nnx.Module:
    """Over the batch and all positions, with running statistics for evaluation.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. Under `jit` the batch is
    the global one, whatever the number of devices. The decay of 0.9 is torch's
    momentum 0.1. The running variance is Flax's, over the m values of a channel in a
    batch; torch's and the paper's (algorithm 2) are m / (m - 1) times it, which shows
    where m is small.
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

    def __call__(self, maps, shortcut=None, activation=None):
        """`[B, ..., D] -> [B, ..., D]`; in training the running statistics move.

        Args:
          maps: to be normalised.
          shortcut: of their shape, is added to what comes of them.
          activation: an elementwise function without parameters, is applied last.
        """
        scale, bias = self.scale[...], self.bias[...]
        if self.use_running_average:
            mean, var = self.mean[...], self.var[...]
            slope = scale * jax.lax.rsqrt(var + self.epsilon)
            return _finished(activation, maps, mean, slope, bias, shortcut)
        normalise = batch_normalised if _on_cpu() else _batch_normalised
        made, *moments = normalise(
            maps, scale, bias, shortcut, self.epsilon, activation
        )
        self._move(*moments)
        return made

    def _move(self, batch_mean, batch_var):
        """Brings the running statistics nearer to those of a batch."""
        kept = self.momentum
        self.mean.set_value(kept * self.mean[...] + (1 - kept) * batch_mean)
        self.var.set_value(kept * self.var[...] + (1 - kept) * batch_var)


def _on_cpu() -> bool:
    return jax.default_backend() == 'cpu'


def _moments(maps):
    exact, axes = maps.astype(jnp.float32), tuple(range(maps.ndim - 1))
    mean = exact.mean(axes)
    return mean, jnp.maximum(0.0, jnp.square(exact).mean(axes) - mean**2)


def _finished(activation, maps, mean, slope, bias, shortcut):
    """Normalised maps, rounded as they came, with the shortcut; then activated."""
    made = ((maps.astype(jnp.float32) - mean) * slope + bias).astype(maps.dtype)
    return _activated(activation, made, shortcut)


def _activated(activation, maps, shortcut):
    """The maps with the shortcut, then activated; None leaves either out."""
    maps = maps if shortcut is None else maps + shortcut
    return maps if activation is None else activation(maps)


def _batch_normalised(
    maps, scale, bias, shortcut, epsilon: float, activation, finish=_finished
):
    """What `BatchNorm` gives in training, and mean and variance of the batch, `[D]`."""
    mean, var = _moments(maps)
    slope = scale * jax.lax.rsqrt(var + epsilon)
    return finish(activation, maps, mean, slope, bias, shortcut), mean, var


_fenced = fenced(_finished, static_argnums=0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def batch_normalised(maps, scale, bias, shortcut, epsilon: float, activation):
    """`_batch_normalised` for XLA's CPU compiler, whose gradient takes few passes.

    That of JAX adds up what comes back once more, and has kernels for the derivative of
    each moment: a twelfth of all kernels of ResNet-18. Of large batches what is
    activated is written out once (`models.fences`). Together that is a tenth of a train
    step of ResNet-18 on the digits.
    """
    return _batch_normalised(maps, scale, bias, shortcut, epsilon, activation)


def _forwards(maps, scale, bias, shortcut, epsilon, activation):
    given = maps, scale, bias, shortcut
    finish = _fenced if _is_fenced(maps, activation) else _finished
    made, *moments = _batch_normalised(*given, epsilon, activation, finish)
    return (made, *moments), (*given, *moments)


def _is_fenced(maps, activation) -> bool:
    """Whether it is worth the room; a batch of any size, as in an export, is small."""
    batch = maps.shape[0]
    return activation is not None and isinstance(batch, int) and batch >= MANY_IMAGES


def _backwards(epsilon, activation, kept, changes):
    """Of maps, scale, bias and shortcut."""
    maps, scale, bias, shortcut, mean, var = kept
    change, to_mean, to_var = changes
    factor = jax.lax.rsqrt(var + epsilon)
    slope, axes = scale * factor, tuple(range(maps.ndim - 1))
    if activation is not None:
        inner = _finished(None, maps, mean, slope, bias, shortcut)
        (change,) = jax.vjp(activation, inner)[1](change)
    to_shortcut = None if shortcut is None else change.astype(shortcut.dtype)
    change = change.astype(jnp.float32)
    centred, count = maps.astype(jnp.float32) - mean, maps.size // mean.size
    total, along = change.sum(axes), (change * centred).sum(axes)
    turn = (2 * to_var - slope * factor**2 * along) / count
    turn = jnp.where(var > 0, turn, 0)  # below it rounding has been cut away
    to_maps = slope * change + centred * turn + (to_mean - slope * total) / count
    to_scale, to_bias = (along * factor).astype(scale.dtype), total.astype(bias.dtype)
    return to_maps.astype(maps.dtype), to_scale, to_bias, to_shortcut


batch_normalised.defvjp(_forwards, _backwards)


class GroupNorm(nnx.GroupNorm):
    """`nnx.GroupNorm` whose activations keep their dtype."""

    def __call__(self, maps, shortcut=None, activation=None):
        """As `BatchNorm`, without statistics that move."""
        made = super().__call__(maps).astype(maps.dtype)
        return _activated(activation, made, shortcut)


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
        if not _on_cpu():
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
