"""Losses of label maps: logits and classes of pixels in, one loss an image out.

Pixels labelled IGNORE count nowhere; an image of nothing else has the loss 0. Knows
nothing of padding, of data sets or of what a class means.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from trainer.data.source import IGNORE
from trainer.losses import softmax_cross_entropy


def pixel_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
) -> jax.Array:
    """The mean over an image's pixels: logits [B, H, W, C], labels [B, H, W] -> [B].

    Args:
      logits: any float type; the loss is computed in float32.
      labels: integers in [0, C), or IGNORE.
      class_weights: C numbers that multiply the losses of a class's pixels.
      focal_gamma: how much less what is already right counts; 0 changes nothing.
    """
    # A pixel with no class has no target, and so no loss.
    losses = softmax_cross_entropy(
        logits, labels, class_weights=class_weights, focal_gamma=focal_gamma
    )
    count = jnp.sum(labels != IGNORE, axis=(1, 2))
    return jnp.sum(losses, axis=(1, 2)) / jnp.maximum(count, 1)


def soft_dice(
    logits: jax.Array,
    labels: jax.Array,
    *,
    class_weights: Sequence[float] | None = None,
) -> jax.Array:
    """1 - Dice, over the classes in an image: [B, H, W, C], [B, H, W] -> [B].

    Dice of a class is `2 sum(p t) / (sum(p) + sum(t))` over the pixels, of softmax
    probabilities p and targets t: it weighs a small object as much as a large one. A
    class that is not in the image has none; what is wrongly given to it is missing in
    the others.

    Args:
      logits: any float type; the loss is computed in float32.
      labels: integers in [0, C), or IGNORE.
      class_weights: C numbers that weigh the classes in the mean.

    References:
      Milletari et al., V-Net (2016), https://arxiv.org/abs/1606.04797, with squares.
      Isensee et al., nnU-Net (2018), https://arxiv.org/abs/1809.10486, as here.
    """
    num_classes = logits.shape[-1]
    targets = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    scored = (labels != IGNORE)[..., None]
    guesses = jnp.where(scored, jax.nn.softmax(logits.astype(jnp.float32)), 0)
    size = jnp.sum(targets, axis=(1, 2))
    both = jnp.sum(guesses * targets, axis=(1, 2))
    dice = 2 * both / jnp.maximum(jnp.sum(guesses, axis=(1, 2)) + size, 1)
    weights = jnp.asarray(class_weights or (1.0,) * num_classes, jnp.float32)
    weights = jnp.where(size > 0, weights, 0)
    total = jnp.sum(weights, axis=-1)
    missed = jnp.sum(weights * (1 - dice), axis=-1)
    return jnp.where(total > 0, missed / jnp.where(total > 0, total, 1), 0)
