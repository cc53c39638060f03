"""What each example of an evaluation was taken for: a few likeliest classes.

Rows for reports, and no score: kept small, so that every evaluation can have them.
"""

import functools

import clu.metrics
import flax
import jax
import jax.numpy as jnp

from trainer.collected import Collected
from trainer.metrics import classification_metrics

LIKELIEST = 3
ROWS = ('index', 'label', 'guesses', 'probabilities', 'own', 'mask')


@functools.cache
def ranked_metrics(num_classes: int) -> type[clu.metrics.Collection]:
    """What is measured of a classifier in evaluation, and the rows as `examples`."""
    measured = classification_metrics(num_classes, train=False).__annotations__
    rows = ranked_rows(num_classes)
    return clu.metrics.Collection.create(**measured, examples=rows)


@functools.cache
def ranked_rows(num_classes: int) -> type[clu.metrics.CollectingMetric]:
    """The class of metrics that keep the k = min(3, C) likeliest classes.

    Takes `outputs` [B, C], `label`, `mask` and, where there is one, `index` [B]. Its
    rows are these and `guesses` [k] and their `probabilities` [k], the likeliest first,
    and `own`, the probability of the label.
    """

    @flax.struct.dataclass
    class RankedRows(Collected.from_outputs(ROWS)):
        @classmethod
        def from_model_output(cls, *, outputs, label, mask, index=None, **_):
            shares = jax.nn.softmax(outputs.astype(jnp.float32), axis=-1)
            # Of the outputs: of two shares that round to the same one is the larger.
            _, guesses = jax.lax.top_k(outputs, min(LIKELIEST, num_classes))
            return super().from_model_output(
                index=jnp.full_like(label, -1) if index is None else index,
                label=label,
                guesses=guesses.astype(jnp.int32),
                probabilities=jnp.take_along_axis(shares, guesses, axis=-1),
                own=jnp.take_along_axis(shares, label[:, None], axis=-1)[:, 0],
                mask=mask,
            )

        def compute(self) -> dict[str, float | None]:
            return {}

    return RankedRows
