"""Classes that have far fewer examples than others, and the settings that mend it.

Knows counts and what a task is told; how rare classes are weighed is
`class_weights.py`.
"""

from collections.abc import Sequence

import numpy as np

from trainer.data import Dataset
from trainer.data.defects import imbalance
from trainer.tasks import Task

RATIO = 10  # the commonest class's examples for each of the rarest
ENDS = 3  # classes that are named of the common ones, and of the rare
# What a task may call the weights of its classes, and the score of each of them.
SETTINGS = {'class_weights': 'acc_class', 'positive_weights': 'ap_class'}


def uneven(dataset: Dataset, task: Task) -> str | None:
    """One line where some class is rare and nothing makes up for it, or None.

    Args:
      dataset: the training data.
      task: prepared.
    """
    names = dataset.class_names
    balanced = dataset.images.sampler or getattr(task, 'weights', None) is not None
    counts = np.zeros(0) if balanced or not names else dataset.label_counts()
    if not counts.any() or counts.max() < RATIO * counts.min():
        return None
    ratio = imbalance(dict(enumerate(counts.tolist())))
    empty = [names[index] for index in np.flatnonzero(counts == 0)]
    facts = [f'the commonest {ratio:.3g} times the rarest'] if ratio > 1 else []
    facts += [f'none of {_named(empty)}'] if empty else []
    settings = _settings(dataset, task) if ratio >= RATIO else ''
    remedies = [f'set {settings}'] if settings else []
    remedies += ['choose another split', 'drop the class'] if empty else []
    remedies = f'{", ".join(remedies)}, or add' if remedies else 'add'
    return (
        f'{_named(_tallies(names, counts))} examples to train on, '
        f'{" and ".join(facts)}: {remedies} examples{_told(task)}'
    )


def _tallies(names: Sequence[str], counts: np.ndarray) -> list[str]:
    """'cat 900', 'dog 3': the commonest first."""
    return [f'{names[i]} {counts[i]:,}' for i in np.argsort(-counts, kind='stable')]


def _named(words: Sequence[str]) -> str:
    """All of a few words, else the first and the last of them."""
    if len(words) > 2 * ENDS:
        words = [*words[:ENDS], '...', *words[-ENDS:]]
    return ', '.join(words)


def _settings(dataset: Dataset, task: Task) -> str:
    """The bindings that give rare classes more say."""
    name, field = _weights_of(task)
    found = [f"{name}.{field} = 'balanced'"] if field else []
    if 'label' in dataset.source.labels_known or field == 'class_weights':
        found.append("train/Images.sampler = 'balanced'")
    return ' or '.join(found)


def _told(task: Task) -> str:
    """Where the truth of each class is logged."""
    _, field = _weights_of(task)
    return f'; evaluations log {SETTINGS[field]}_<i> of each class' if field else ''


def _weights_of(task: Task) -> tuple[str, str]:
    """The task, of an extended one that which it extends, and what its weights are."""
    task = getattr(task, 'task', task)
    field = next((field for field in SETTINGS if hasattr(task, field)), '')
    return type(task).__name__, field
