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
    an example is `sum_c w_c * q_c * (1 - p_c)^focal_gamma * -log p_c`.

    As torch's `CrossEntropyLoss(weight, reduction='none')`. Its 'mean' divides by the
    summed weights of the labels, the plain mean of these losses by B: the same where
    the weights of the examples average to one, as balanced ones do over their data.

    Args:
      logits: any float type; the loss is computed in float32.
      labels: integers in [0, C); one outside has no target but for the smoothing.
      label_smoothing: share of the target spread evenly over all classes, in [0, 1).
      class_weights: w, C numbers; None is one for each.
      focal_gamma: how much less what is already right counts; 0 changes nothing.

    References:
      Szegedy et al., Rethinking the Inception Architecture (2016), label smoothing.
      Lin et al., Focal Loss for Dense Object Detection (2017).
    """
    num_classes = logits.shape[-1]
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    targets = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    targets = (1 - label_smoothing) * targets + label_smoothing / num_classes
    if class_weights is not None:
        targets = targets * jnp.asarray(class_weights, jnp.float32)
    # A class without target must not give 0 * -inf when its logit is -inf.
    log_p = jnp.where(targets > 0, log_p, 0)
    if focal_gamma:
        targets = targets * _focus(log_p, focal_gamma)
    return -jnp.sum(targets * log_p, axis=-1)


def _focus(log_p: jax.Array, gamma: float) -> jax.Array:
    """(1 - p)^gamma; the floor keeps its gradient finite at p = 1 for gamma < 1."""
    return jnp.maximum(-jnp.expm1(log_p), jnp.finfo(jnp.float32).tiny) ** gamma
