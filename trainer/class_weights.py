"""How much each class weighs in a loss: as a config says it, or by how rare it is.

Knows numbers and their owner's name for messages; no task and no data set.
"""

import math
from collections.abc import Callable

import numpy as np

from trainer.errors import UserError

Weights = tuple[float, ...]


def as_numbers(value):
    """A list of numbers as a tuple of floats; one number, a word and None as it is."""
    if isinstance(value, str | float | int | None):
        return value
    return tuple(float(number) for number in value)


def class_weights(
    name: str,
    given: Weights | str | None,
    num_classes: int,
    balanced: Callable[[], Weights],
    *,
    positive: bool = False,
) -> Weights | None:
    """The weights of C classes; None where all weigh the same.

    Args:
      name: such as 'Classification.class_weights', for messages.
      given: C numbers, 'balanced' or None.
      num_classes: C.
      balanced: gives what 'balanced' means.
      positive: whether 0 is refused.

    Raises:
      UserError: another word, or numbers that do not fit the classes.
    """
    if given is None:
        return None
    if given == 'balanced':
        return balanced()
    if isinstance(given, str):
        raise UserError(
            f"{name} has no kind {given!r}; give a list of weights, 'balanced' or None."
        )
    check_numbers(name, given, num_classes, positive=positive)
    return given


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


def check_numbers(
    name: str, numbers: Weights, num_classes: int, *, positive: bool = False
) -> None:
    """Raises UserError where there is not one good number for each class."""
    if len(numbers) != num_classes:
        raise UserError(
            f'{name} has {len(numbers)} numbers, but the data has {num_classes} '
            f'classes; give one for each class.'
        )
    for position, number in enumerate(numbers):
        if not math.isfinite(number) or number < 0 or (positive and not number):
            limit = 'above 0' if positive else 'from 0 up'
            raise UserError(
                f'{name}[{position}] is {number:g}; give finite numbers {limit}.'
            )
    if not any(numbers):
        raise UserError(
            f'{name} are all 0, so nothing would be learnt; '
            'give at least one class a weight above 0.'
        )
