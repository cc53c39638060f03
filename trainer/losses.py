"""Loss functions: outputs and labels in, one float32 loss for each example out.

They know nothing of padding (whoever averages applies the mask), of data sets or of
what a label means. Labels are checked on the host, where they are read.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def softmax_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
) -> jax.Array:
    """Cross-entropy over C classes: logits [B, C], labels [B] -> losses [B].

    With targets `q = (1 - label_smoothing) * onehot + label_smoothing / C` the loss of
    an example is `sum_c w_c * q_c * (1 - p_c)^focal_gamma * -log p_c`, linear in q.

    As torch's `CrossEntropyLoss(weight, reduction='none')`. Its 'mean' divides by the
    summed weights of the labels, the plain mean of these losses by B: the same where
    the weights of the examples average to one, as balanced ones do over their data.

    Args:
      logits: any float type; the loss is computed in float32.
      labels: integers in [0, C), of which one outside has no target but for the
        smoothing; or shares of the classes, floats [B, C].
      label_smoothing: share of the target spread evenly over all classes, in [0, 1).
      class_weights: w, C numbers; None is one for each.
      focal_gamma: how much less what is already right counts; 0 changes nothing.

    References:
      Szegedy et al., Rethinking the Inception Architecture (2016), label smoothing.
      Lin et al., Focal Loss for Dense Object Detection (2017).
    """
    num_classes = logits.shape[-1]
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    targets = _shares(labels, log_p)
    targets = (1 - label_smoothing) * targets + label_smoothing / num_classes
    if class_weights is not None:
        targets = targets * jnp.asarray(class_weights, jnp.float32)
    # A class without target must not give 0 * -inf when its logit is -inf.
    log_p = jnp.where(targets > 0, log_p, 0)
    if focal_gamma:
        targets = targets * _focus(log_p, focal_gamma)
    return -jnp.sum(targets * log_p, axis=-1)


def _shares(labels: jax.Array, log_p: jax.Array) -> jax.Array:
    """Labels as each class's share, [..., C]; shares stay what they are."""
    if labels.ndim == log_p.ndim:
        return labels.astype(jnp.float32)
    return jax.nn.one_hot(labels, log_p.shape[-1], dtype=jnp.float32)


def _focus(log_p: jax.Array, gamma: float) -> jax.Array:
    """(1 - p)^gamma; the floor keeps its gradient finite at p = 1 for gamma < 1."""
    return jnp.maximum(-jnp.expm1(log_p), jnp.finfo(jnp.float32).tiny) ** gamma


def sigmoid_cross_entropy(
    logits: jax.Array,
    labels: jax.Array,
    *,
    positive_weights: Sequence[float] | None = None,
    focal_gamma: float = 0.0,
) -> jax.Array:
    """Cross-entropy of C yes-or-no questions, their mean: [B, C], [B, C] -> [B].

    Of each class `w_c * q * (1 - p)^focal_gamma * -log p
    + (1 - q) * p^focal_gamma * -log(1 - p)`, where q is the label and p the sigmoid of
    the logit; as torch's `BCEWithLogitsLoss(pos_weight)`.

    Args:
      logits: any float type; the loss is computed in float32.
      labels: in [0, 1].
      positive_weights: w, C numbers; None is one for each.
      focal_gamma: how much less what is already right counts; 0 changes nothing.
    """
    logits = logits.astype(jnp.float32)
    log_yes, log_no = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    yes, no = labels.astype(jnp.float32), 1 - labels.astype(jnp.float32)
    if positive_weights is not None:
        yes = yes * jnp.asarray(positive_weights, jnp.float32)
    if focal_gamma:
        yes, no = yes * _focus(log_yes, focal_gamma), no * _focus(log_no, focal_gamma)
    return -jnp.mean(yes * log_yes + no * log_no, axis=-1)
