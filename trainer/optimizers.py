"""Optimizers: Optax's own, with clipping first and no decay but on kernels.

Each takes the schedule first, filled in by the trainer, and gives Optax's gradient
transformation; they know nothing of models, whatever pytree the parameters are.
"""

from typing import Annotated

import gin
import jax
import optax
import optax.contrib
from annotated_types import Ge, Gt, Interval

from trainer.gradients import Clip, clipped, decayed, is_kernel, with_l2
from trainer.optax_names import optax_optimizer

__all__ = [
    'adam',
    'adamw',
    'lamb',
    'lion',
    'muon',
    'optax_optimizer',
    'rmsprop',
    'sgd',
]

Decay = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, lt=1)]
Positive = Annotated[float, Gt(0)]


@gin.register
def adamw(
    learning_rate: optax.Schedule,
    *,
    weight_decay: Decay = 1e-4,
    clip_norm: Clip = None,
    b1: Share = 0.9,
    b2: Share = 0.999,
    eps: Positive = 1e-8,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, on kernels alone (see `decayed`).

    Args:
      learning_rate: from step to learning rate.
      weight_decay: times the learning rate, taken off the weights at each step.
      clip_norm: longest global norm of the gradients; longer ones are scaled down.
      b1, b2: how much the running means of gradient and square keep.
      eps: added to the root of the mean square.

    References:
      Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019).
    """
    optimizer = optax.adamw(
        learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=decayed
    )
    return clipped(optimizer, clip_norm)


@gin.register
def sgd(
    learning_rate: optax.Schedule,
    *,
    momentum: Share = 0.9,
    nesterov: bool = False,
    weight_decay: Decay = 0.0,
    clip_norm: Clip = None,
) -> optax.GradientTransformation:
    """Stochastic gradient descent; the decay is added to the gradient (L2), as torch's.

    Args as in `adamw`; `momentum` 0 keeps no buffer.

    References:
      Sutskever et al., On the Importance of Initialization and Momentum (2013).
    """
    optimizer = optax.sgd(learning_rate, momentum=momentum or None, nesterov=nesterov)
    return clipped(with_l2(optimizer, weight_decay), clip_norm)


@gin.register
def adam(
    learning_rate: optax.Schedule,
    *,
    clip_norm: Clip = None,
    b1: Share = 0.9,
    b2: Share = 0.999,
    eps: Positive = 1e-8,
) -> optax.GradientTransformation:
    """Adam without weight decay; args as in `adamw`.

    References:
      Kingma and Ba, Adam (2015).
    """
    return clipped(optax.adam(learning_rate, b1=b1, b2=b2, eps=eps), clip_norm)


@gin.register
def lamb(
    learning_rate: optax.Schedule,
    *,
    weight_decay: Decay = 0.0,
    clip_norm: Clip = None,
    b1: Share = 0.9,
    b2: Share = 0.999,
    eps: Positive = 1e-6,
) -> optax.GradientTransformation:
    """AdamW with the step of each layer scaled to its weights, for very large batches.

    Args as in `adamw`.

    References:
      You et al., Large Batch Optimization for Deep Learning (2020).
    """
    optimizer = optax.lamb(
        learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=decayed
    )
    return clipped(optimizer, clip_norm)


@gin.register
def lion(
    learning_rate: optax.Schedule,
    *,
    weight_decay: Decay = 1e-3,
    clip_norm: Clip = None,
    b1: Share = 0.9,
    b2: Share = 0.99,
) -> optax.GradientTransformation:
    """The sign of a momentum; wants about a tenth of AdamW's learning rate.

    Args as in `adamw`; `b1` mixes the step, `b2` the momentum that is kept.

    References:
      Chen et al., Symbolic Discovery of Optimization Algorithms (2023).
    """
    optimizer = optax.lion(
        learning_rate, b1=b1, b2=b2, weight_decay=weight_decay, mask=decayed
    )
    return clipped(optimizer, clip_norm)


@gin.register
def rmsprop(
    learning_rate: optax.Schedule,
    *,
    decay: Share = 0.9,
    momentum: Share = 0.0,
    eps: Positive = 1e-8,
    centered: bool = False,
    weight_decay: Decay = 0.0,
    clip_norm: Clip = None,
) -> optax.GradientTransformation:
    """The gradient over the root of its mean square; weight decay is L2, as in `sgd`.

    Args as in `adamw`; `decay` is how much the mean square keeps, `centered` takes the
    squared mean off it, `momentum` 0 keeps no buffer.

    References:
      Tieleman and Hinton, Lecture 6.5, rmsprop (2012).
    """
    optimizer = optax.rmsprop(
        learning_rate,
        decay=decay,
        eps=eps,
        centered=centered,
        momentum=momentum or None,
    )
    return clipped(with_l2(optimizer, weight_decay), clip_norm)


@gin.register
def muon(
    learning_rate: optax.Schedule,
    *,
    weight_decay: Decay = 0.0,
    clip_norm: Clip = None,
    beta: Share = 0.95,
    ns_steps: Annotated[int, Ge(1)] = 5,
    consistent_rms: Positive | None = 0.2,
) -> optax.GradientTransformation:
    """Orthogonalised momentum for dense and convolution kernels, Adam for the rest.

    Args as in `adamw`, and

      beta: how much the momentum keeps.
      ns_steps: Newton-Schulz iterations.
      consistent_rms: size of an element of the step, in learning rates; 0.2 is that
        of AdamW, so that both parts can share its learning rate. None scales by the
        shape of the kernel instead.

    References:
      Jordan, Muon (2024). Liu et al., Muon is Scalable for LLM Training (2025).
    """
    optimizer = optax.contrib.muon(
        learning_rate,
        beta=beta,
        ns_steps=ns_steps,
        weight_decay=weight_decay,
        weight_decay_mask=decayed,
        consistent_rms=consistent_rms,
        muon_weight_dimension_numbers=matrices,
    )
    return clipped(optimizer, clip_norm)


def matrices(params):
    """How Muon sees each leaf as a matrix, or None where Adam takes it.

    Dense kernels [in, out] and convolutions [height, width, in, out] are matrices
    from all that goes in to what comes out. Kernels of other shapes do not say which
    of their axes is which, and what is no kernel (see `is_kernel`) is no map at all.
    """
    axes = {2: ((0,), (1,)), 4: ((0, 1, 2), (3,))}

    def matrix(path, leaf: jax.Array):
        if leaf.ndim not in axes or not is_kernel(path, leaf):
            return None
        return optax.contrib.MuonDimensionNumbers(*axes[leaf.ndim])

    return jax.tree_util.tree_map_with_path(matrix, params)
