"""Scores that need all examples at once: their rows are kept on the host, as they come.

Average precision ranks every example, so that no sum over batches gives it. Its metric
is a `clu.metrics.CollectingMetric` among those of an evaluation: the compiled step
hands over the rows of one batch, and nothing grows on the device. A row has a fixed
shape, so memory is bounded: that of a row, times the examples. Knows no task.
"""

import clu.metrics
import flax
import jax
import numpy as np


@flax.struct.dataclass
class Collected(clu.metrics.CollectingMetric):
    """Rows of the examples, by name; a score is a subclass with a `compute()`.

    Made by `from_outputs(names)`, where `names` are outputs [B, ...] with 'mask' among
    them; call it once for each data set's facts (`functools.cache`), because another
    class compiles the step again. Not for training, whose state must not grow.
    """

    def rows(self) -> dict[str, np.ndarray]:
        """What was collected, without padding: [N, ...] each; {} of no batch at all."""
        values = clu.metrics.CollectingMetric.compute(self)
        mask = values.pop('mask', None)
        return {name: value[mask] for name, value in values.items()}


class Collector:
    """Takes the rows of each batch off the metrics, and gives all of them at the end.

    The step keeps one signature that way: in every batch it is given none.
    """

    def __init__(self):
        self.batches = []

    def take(self, metrics: clu.metrics.Collection) -> clu.metrics.Collection:
        """The metrics without rows, which are kept; waits for the batch before."""
        found = _collecting(metrics)
        if not found:
            return metrics
        self.batches.append({name: metric.values for name, metric in found.items()})
        if len(self.batches) > 1:
            self.batches[-2] = jax.device_get(self.batches[-2])
        return metrics.replace(**{n: metric.empty() for n, metric in found.items()})

    def give(self, metrics: clu.metrics.Collection) -> clu.metrics.Collection:
        """The metrics with the rows of all batches, in their order."""
        batches = jax.device_get(self.batches)
        whole = {}
        for name, metric in _collecting(metrics).items():
            values = {
                field: tuple(part for batch in batches for part in batch[name][field])
                for field in (batches[0][name] if batches else ())
            }
            whole[name] = metric.replace(values=values)
        return metrics.replace(**whole)


def _collecting(metrics: clu.metrics.Collection) -> dict:
    return {
        name: metric
        for name, metric in vars(metrics).items()
        if isinstance(metric, clu.metrics.CollectingMetric)
    }
