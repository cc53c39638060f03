"""Maps of classes that tests of segmentation share."""

import types

import numpy as np

from trainer.data.source import IGNORE
from trainer.tasks.segmentation import Segmentation

NAMES = ('ground', 'circle', 'square')


def make_dataset(names=NAMES, counts=(90, 10, 0)):
    return types.SimpleNamespace(
        segmentation_names=names, pixel_counts=lambda: np.array(counts)
    )


def prepared(**options):
    return Segmentation(**options).prepare(make_dataset())


def make_maps(seed, batch=6, classes=3, absent=(), size=(5, 7)):
    """Logits with a chance to be right, label maps with ignored pixels."""
    rng = np.random.default_rng(seed)
    present = np.setdiff1d(np.arange(classes), absent)
    labels = rng.choice(present, size=(batch, *size)).astype(np.uint8)
    logits = rng.normal(size=(*labels.shape, classes)).astype(np.float32)
    logits += 2 * np.eye(classes, dtype=np.float32)[labels]
    logits[..., list(absent)] -= 100
    labels[rng.random(labels.shape) < 0.2] = IGNORE
    return logits, labels


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
