"""How much each class weighs in a loss: as a config says it, or by how rare it is.

Knows numbers and their owner's name for messages; no task and no data set.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from trainer.errors import UserError

Weights = tuple[float, ...]


def class_weights(
    owner: str,
    given: Sequence[float] | str | None,
    num_classes: int,
    counts: Callable[[], np.ndarray],
) -> Weights | None:
    """The weights of C classes; None where all weigh the same.

    Args:
      owner: the task, for messages.
      given: C numbers, 'balanced' or None.
      num_classes: C.
      counts: gives how often each class is there, [C]; called for 'balanced' only.

    Raises:
      UserError: another word, or numbers that do not fit the classes.
    """
    if given is None:
        return None
    if given == 'balanced':
        return balanced_weights(counts())
    if isinstance(given, str):
        raise UserError(
            f'{owner}.class_weights has no kind {given!r}; '
            "give a list of weights, 'balanced' or None."
        )
    _check_weights(owner, given, num_classes)
    return tuple(given)


def balanced_weights(counts: np.ndarray) -> Weights:
    """Inverse frequency, `n / (C * count)`: every class has the same say in the loss.

    C counts the classes that have examples, so that the weights of the examples
    average to one, as scikit-learn has it. A class without any weighs one.

    Args:
      counts: [num_classes], examples of each class.
    """
    counts = np.asarray(counts)
    share = counts.sum() / max(1, np.count_nonzero(counts))
    weights = np.where(counts > 0, share / np.maximum(counts, 1), 1.0)
    return tuple(weights.tolist())


def _check_weights(owner: str, weights: Sequence[float], num_classes: int) -> None:
    """One line that says what is wrong with a list of weights."""
    if len(weights) != num_classes:
        raise UserError(
            f'{owner}.class_weights has {len(weights)} weights, but the data '
            f'has {num_classes} classes; give one for each class.'
        )
    for position, weight in enumerate(weights):
        if not math.isfinite(weight) or weight < 0:
            raise UserError(
                f'{owner}.class_weights[{position}] is {weight:g}; '
                'a weight is a number from 0 up.'
            )
    if not any(weights):
        raise UserError(
            f'{owner}.class_weights are all 0, so nothing would be learnt; '
            'give at least one class a weight above 0.'
        )
