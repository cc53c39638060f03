"""Splits rows into train and test and spreads classes evenly; knows names and labels.

Decided by a hash of the names alone: the same on every machine, whatever the order in
which a file system lists them, and a file more moves few of the others.
"""

import hashlib
from collections.abc import Sequence

import numpy as np


def train_test(
    names: Sequence[str], labels: np.ndarray | None, test_fraction: float
) -> dict[str, np.ndarray]:
    """Rows of 'train' and 'test'; every class has its share of both, rounded.

    A class of two and more rows has at least one in each. Both are ordered so that any
    slice of them, such as train[:90%], has about the classes of the whole.

    Args:
      names: one for each row, unique.
      labels: class of each row, [N] int; None for no classes.
      test_fraction: share of rows that is not trained on.
    """
    order = hashed_order(names)
    labels = np.zeros(len(order), int) if labels is None else np.asarray(labels)
    parts = {'train': [], 'test': []}
    for label in np.unique(labels):
        members = order[labels[order] == label]
        wanted = round(len(members) * test_fraction)
        if len(members) > 1 and test_fraction:
            wanted = min(max(wanted, 1), len(members) - 1)
        parts['test'].append(members[:wanted])
        parts['train'].append(members[wanted:])
    return {
        split: interleave(np.concatenate(rows).astype(np.int64), labels)
        for split, rows in parts.items()
    }


def hashed_order(names: Sequence[str]) -> np.ndarray:
    """Row numbers in the order of the hashes of their names."""
    hashes = [
        hashlib.blake2b(name.encode('utf-8', 'surrogateescape'), digest_size=8).digest()
        for name in names
    ]
    return np.argsort(np.array(hashes, 'S8').view('>u8'), kind='stable')


def interleave(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rows with classes spread evenly, so that train[:90%] is stratified too."""
    position = np.empty(len(rows))
    for label in np.unique(labels):
        members = np.flatnonzero(labels[rows] == label)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return rows[np.argsort(position, kind='stable')]
