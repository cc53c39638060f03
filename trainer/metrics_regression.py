"""Scores of numbers against numbers: R2, RMSE and MAE, in the targets' own units.

Taken from all examples at once, in double precision, so that no size of batches changes
a digit. Knows outputs, targets and their units; no task.
"""

import functools

import clu.metrics
import flax
import numpy as np

from trainer.collected import Collected
from trainer.metrics import MeanLoss, mean_of_known

Scores = dict[str, float | None]


@functools.cache
def regression_metrics(
    mean: tuple[float, ...], std: tuple[float, ...], train: bool
) -> type[clu.metrics.Collection]:
    """What is measured of T numbers; in training only the loss.

    Args:
      mean, std: T each; an output of z means the number `mean + std * z`.
      train: whether it is measured in training steps.
    """
    if train:
        return clu.metrics.Collection.create(loss=MeanLoss)

    @flax.struct.dataclass
    class RegressionScores(Collected.from_outputs(('outputs', 'target', 'mask'))):
        def compute(self) -> Scores:
            none = np.zeros((0, len(mean)))
            rows = {'outputs': none, 'target': none} | self.rows()
            predictions = np.add(mean, np.multiply(std, rows['outputs'], dtype=float))
            return regression_scores(predictions, rows['target'])

    return clu.metrics.Collection.create(loss=MeanLoss, scores=RegressionScores)


def regression_scores(predictions: np.ndarray, targets: np.ndarray) -> Scores:
    """`r2`, `rmse` and `mae`: means over T targets, and of several each one's too.

    R2 is the share of the targets' variance that is explained: None where there is
    none. Without examples everything is None.

    Args:
      predictions, targets: [N, T].
    """
    targets = np.asarray(targets, np.float64)
    errors = np.asarray(predictions, np.float64) - targets
    columns = [_column(*pair) for pair in zip(errors.T, targets.T, strict=True)]
    scores = {
        name: mean_of_known([column[name] for column in columns]) for name in columns[0]
    }
    if len(columns) > 1:
        for name in columns[0]:
            scores |= {f'{name}_target_{i}': c[name] for i, c in enumerate(columns)}
    return scores


def _column(errors: np.ndarray, targets: np.ndarray) -> Scores:
    """The scores of one target, [N] and [N]."""
    if not len(targets):
        return {'r2': None, 'rmse': None, 'mae': None}
    missed = np.mean(np.square(errors))
    varies = np.ptp(targets) > 0
    return {
        'r2': float(1 - missed / np.var(targets)) if varies else None,
        'rmse': float(np.sqrt(missed)),
        'mae': float(np.mean(np.abs(errors))),
    }
