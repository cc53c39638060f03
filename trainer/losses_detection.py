"""Losses of a detector: heat maps and boxes in, one float32 loss an image out.

Knows nothing of grids, of padding or of what a class means.
"""

import jax
import jax.numpy as jnp

FOCUS, NEAR = 2, 4  # alpha and beta of Zhou et al. (2019), equation 1


def centre_focal(
    logits: jax.Array, targets: jax.Array, scored: jax.Array, count: jax.Array
) -> jax.Array:
    """The focal loss of heat maps, over the objects of an image: -> [B].

    `-(1 - p)^2 log p` at centres, and `-(1 - t)^4 p^2 log(1 - p)` elsewhere, so that
    it matters less to be wrong next to a centre.

    Args:
      logits: [B, h, w, C]; computed in float32.
      targets: t, [B, h, w, C]; 1 at a centre.
      scored: [B, h, w, C] bool, what is no centre and yet counts.
      count: [B], objects; the sum is divided by it, or by one.

    References:
      Law and Deng, CornerNet (2018), https://arxiv.org/abs/1808.01244, equation 1.
      Zhou et al., Objects as Points (2019), https://arxiv.org/abs/1904.07850.
    """
    logits = logits.astype(jnp.float32)
    log_p, log_q = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    p = jax.nn.sigmoid(logits)
    found = -((1 - p) ** FOCUS) * log_p
    wrong = -((1 - targets) ** NEAR) * p**FOCUS * log_q
    losses = jnp.where(targets == 1, found, jnp.where(scored, wrong, 0))
    return jnp.sum(losses, axis=(1, 2, 3)) / jnp.maximum(count, 1)


def overlap(boxes: jax.Array, others: jax.Array) -> jax.Array:
    """Intersection over union of pairs of boxes: two of [..., 4] -> [...] in [0, 1].

    Boxes are y0, x0, y1, x1; two of no area have 0.
    """
    return _share(*_both_and_union(boxes, others))


def generalised_iou(boxes: jax.Array, others: jax.Array) -> jax.Array:
    """Of pairs of boxes y0, x0, y1, x1: two of [..., 4] -> [...] in [-1, 1].

    Intersection over union, less the share of the box around both that neither fills;
    so boxes that do not touch are drawn together. Two boxes of no area have 0.

    References:
      Rezatofighi et al., Generalized IoU (2019), https://arxiv.org/abs/1902.09630.
    """
    both, union = _both_and_union(boxes, others)
    around = _area(_hull(boxes, others, jnp.minimum, jnp.maximum))
    return _share(both, union) - _share(around - union, around)


def box_distance(
    offset: jax.Array, size: jax.Array, true_offset: jax.Array, true_size: jax.Array
) -> jax.Array:
    """The L1 distance of offsets and of sizes, four of [..., 2] -> [...]."""
    pairs = (offset, true_offset), (size, true_size)
    return sum(jnp.sum(jnp.abs(a - b), axis=-1) for a, b in pairs)


def mean_of_objects(values: jax.Array, there: jax.Array) -> jax.Array:
    """The mean over the objects that there are, [B, N] and [B, N] bool -> [B]."""
    total = jnp.sum(jnp.where(there, values, 0), axis=-1)
    return total / jnp.maximum(jnp.sum(there, axis=-1), 1)


def _both_and_union(boxes, others):
    """The areas that both have, and that either has."""
    both = _area(_hull(boxes, others, jnp.maximum, jnp.minimum))
    return both, _area(boxes) + _area(others) - both


def _hull(boxes, others, low, high):
    """The box between `low` of the low corners and `high` of the high ones."""
    first, last = slice(0, 2), slice(2, 4)
    corners = (
        low(boxes[..., first], others[..., first]),
        high(boxes[..., last], others[..., last]),
    )
    return jnp.concatenate(corners, axis=-1)


def _area(boxes):
    sides = jnp.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def _share(part, whole):
    return part / jnp.where(whole > 0, whole, 1)
