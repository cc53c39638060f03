"""Pictures of examples as training sees them: augmented, their labels drawn in.

Knows data sets and the fields of a batch; no page, no task and no net.
"""

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np

from trainer import augment
from trainer.data import Dataset
from trainer.drawing import draw
from trainer.steps import make_prepare

SAID = 4  # labels or numbers in a caption


def samples(
    dataset: Dataset, seed: int, count: int
) -> Iterator[tuple[np.ndarray, str]]:
    """Pictures [H, W, 3] uint8 and what is said of each; none of feature vectors.

    They are the first that a run with this seed trains on.

    Args:
      dataset: the training data.
      seed: of order and augmentation.
      count: how many, at most.
    """
    if len(dataset.image_shape) != 3:
        return
    count = min(count, dataset.num_examples)
    images = dataclasses.replace(
        dataset.images, batch=count, cache=None, workers=0, mean=0.0, std=1.0
    )
    batches = Dataset(images, dataset.source).train_batches(seed)
    batch = next(batches)
    batches.close()
    prepare = make_prepare(images, augment.prepared(images.augment, dataset))
    batch = jax.device_get(jax.jit(prepare)(batch, jax.random.key(seed)))
    pixels = np.rint(255 * batch.pop('image').clip(0, 1)).astype(np.uint8)
    for row, image in enumerate(pixels):
        example = {field: values[row] for field, values in batch.items()}
        yield draw(image, example, dataset.class_names), caption(example, dataset)


def caption(example: dict, dataset: Dataset) -> str:
    """The labels that are no places in the picture, in words."""
    if 'target' in example:
        numbers = zip(dataset.target_names, example['target'], strict=True)
        return _few([f'{name} {number:.4g}' for name, number in numbers])
    if 'labels' in example:
        shares = zip(dataset.class_names, example['labels'], strict=True)
        return _few([_share(name, share) for name, share in shares if share]) or 'none'
    if 'label' not in example:
        return ''
    name = dataset.class_names[example['label']]
    if example.get('mix', 1) == 1:
        return name
    other, mix = dataset.class_names[example['label_b']], example['mix']
    return f'{_share(name, mix)}, {_share(other, 1 - mix)}'


def _share(name: str, share: float) -> str:
    return name if share == 1 else f'{name} {share:.0%}'


def _few(words: list[str]) -> str:
    more = f' and {len(words) - SAID} more' if len(words) > SAID else ''
    return ', '.join(words[:SAID]) + more
