"""What labels are like over a whole data set: numbers to predict, classes of pixels."""

from collections.abc import Collection, Iterable

import numpy as np

from trainer.data.checks import check_labels
from trainer.data.source import IGNORE, Examples
from trainer.errors import UserError

Numbers = tuple[float, ...]


def target_statistics(source: Examples) -> tuple[Numbers, Numbers] | None:
    """Mean and standard deviation of each target; None where there are no targets.

    Raises:
      UserError: a target that is not a finite number, named with its example.
    """
    if not source.target_names:
        return None
    targets = np.asarray(source.column('target'), np.float64)
    bad = ~np.isfinite(targets)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise UserError(
            f'{source.name}: {source.identify(row)} has {targets[row, column]} as its '
            f'target {source.target_names[column]} ({bad.any(axis=1).sum()} such in '
            f'{len(targets)}); expected finite numbers. Mend the data set.'
        )
    return tuple(targets.mean(axis=0).tolist()), tuple(targets.std(axis=0).tolist())


def label_counts(
    source: Examples, fields: Collection[str], num_classes: int
) -> np.ndarray:
    """Examples (of boxes: objects) of each class, [num_classes] int64.

    Args:
      source: reads the labels, decoding no image where it can.
      fields: of its examples; they say what labels there are.
      num_classes: C.
    """
    if 'labels' in fields:
        return source.column('labels').sum(0).astype(np.int64)
    if 'box_labels' in fields:
        labels = source.column('box_labels')
        return np.bincount(labels[labels >= 0], minlength=num_classes)
    if 'label' not in fields:
        return np.zeros(num_classes, np.int64)
    labels = source.column('label')
    check_labels(source.name, labels, num_classes)
    return np.bincount(labels, minlength=num_classes)


def classes_of(source: Examples, example: dict) -> np.ndarray:
    """The one class of each example, [N] int32, for a sampler that draws by class.

    Raises:
      UserError: examples have no single class, or some cannot be read.
    """
    if 'label' not in example:
        fields = ', '.join(sorted(set(example) - {'image', 'index'}))
        raise UserError(
            f"Images.sampler = 'balanced' draws by the one class of an example, but "
            f'{source.name} has {fields}; set it to None, and weigh the loss of the '
            f"task instead (class_weights = 'balanced')."
        )
    labels = np.asarray(source.column('label'), np.int32)
    if len(labels) != len(source):
        raise UserError(
            f"Images.sampler = 'balanced' needs every label, but {source.name} has "
            f'{len(source)} examples and {len(labels)} can be read; mend the rest.'
        )
    return labels


def pixel_counts(batches: Iterable[dict], num_classes: int) -> np.ndarray:
    """Pixels of each class in the label maps of all examples, [num_classes] int64."""
    counts = np.zeros(IGNORE + 1, np.int64)
    for batch in batches:
        found = batch['segmentation'][batch['mask']]
        counts += np.bincount(found.ravel(), minlength=len(counts))
    return counts[:num_classes]
