"""Boxes, batches and outputs that tests of detection share."""

import types

import jax.numpy as jnp
import numpy as np

from trainer.tasks.detection import Detection

NAMES = ('circle', 'square', 'triangle')


def prepared(names=NAMES, shape=(32, 48, 3), **options):
    facts = types.SimpleNamespace(class_names=names, image_shape=shape)
    return Detection(**options).prepare(facts)


def make_boxes(rng, *shape, size=(32, 48)):
    """Random boxes of some area, y0, x0, y1, x1."""
    corners = rng.random((*shape, 2, 2)) * np.subtract(size, 4)
    low = corners.min(-2)
    return np.concatenate([low, corners.max(-2) + 1 + 3 * rng.random(low.shape)], -1)


def make_batch(seed, batch=4, objects=5):
    """Boxes with padding anywhere, crowds, and an image without any object."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, len(NAMES), (batch, objects)).astype(np.int32)
    labels[1] = -1
    return {
        'boxes': make_boxes(rng, batch, objects).astype(np.float32),
        'box_labels': labels,
        'crowd': (labels >= 0) & (rng.random(labels.shape) < 0.2),
        'mask': np.ones(batch, bool),
    }


def make_outputs(seed, batch=4, rows=8, columns=12):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(batch, rows, columns, depth)).astype(np.float32)
        for name, depth in (('heatmap', len(NAMES)), ('offset', 2), ('size', 2))
    }


def measure(task, batches):
    """The metrics of several batches of outputs and labels."""
    collection = task.metrics(train=False)
    parts = [
        collection.single_from_model_output(
            outputs=outputs, losses=jnp.zeros(len(batch['mask'])), **batch
        )
        for outputs, batch in batches
    ]
    total = collection.empty()
    for part in parts:
        total = total.merge(part)
    return total
