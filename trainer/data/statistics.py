"""What labels are like over a whole data set: numbers to predict, classes of pixels."""

from collections.abc import Iterable

import numpy as np

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


def pixel_counts(batches: Iterable[dict], num_classes: int) -> np.ndarray:
    """Pixels of each class in the label maps of all examples, [num_classes] int64."""
    counts = np.zeros(IGNORE + 1, np.int64)
    for batch in batches:
        found = batch['segmentation'][batch['mask']]
        counts += np.bincount(found.ravel(), minlength=len(counts))
    return counts[:num_classes]
