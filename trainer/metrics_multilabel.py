"""Scores of several labels at once: average precision, and F1 at its best threshold.

Ranked over all examples, ties and absent classes as scikit-learn has them, so that no
size of batches changes a digit. Knows logits, labels and masks; no task.
"""

import functools

import clu.metrics
import flax
import jax.numpy as jnp
import numpy as np

from trainer.collected import Collected
from trainer.metrics import Accuracy, MeanLoss, mean_of_known

Scores = dict[str, float | None]


@flax.struct.dataclass
class LabelAccuracy(Accuracy):
    """The share of right answers, over B * C questions; an answer is a logit's sign."""

    @classmethod
    def from_model_output(cls, *, outputs, labels, mask, **_):
        right = (outputs > 0) == (labels > 0.5)
        asked = jnp.broadcast_to(mask[:, None], labels.shape)
        hits = jnp.sum(right & asked, dtype=jnp.int32)
        return cls(hits=hits, count=jnp.sum(asked, dtype=jnp.int32))


@functools.cache
def multilabel_metrics(num_classes: int, train: bool) -> type[clu.metrics.Collection]:
    """What is measured of C labels; in training only what costs next to nothing."""
    cheap = {'loss': MeanLoss, 'acc_labels': LabelAccuracy}
    if train:
        return clu.metrics.Collection.create(**cheap)

    @flax.struct.dataclass
    class MultiLabelScores(Collected.from_outputs(('outputs', 'labels', 'mask'))):
        def compute(self) -> Scores:
            none = np.zeros((0, num_classes))
            rows = {'outputs': none, 'labels': none} | self.rows()
            return multilabel_scores(rows['outputs'], rows['labels'])

    return clu.metrics.Collection.create(**cheap, scores=MultiLabelScores)


def multilabel_scores(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """`map` and `f1`, means over the classes that occur, and those of each class.

    Of class 0 `ap_class_0`, `f1_class_0` and `threshold_class_0`, the probability from
    which on an example is best said to be of it; None where no example is.

    Args:
      logits, labels: [N, C]; labels are 0 or 1.
    """
    classes = [class_scores(*pair) for pair in zip(logits.T, labels.T, strict=True)]
    scores = {'map': mean_of_known(c['ap'] for c in classes)}
    scores['f1'] = mean_of_known(c['f1'] for c in classes)
    for name in ('ap', 'f1', 'threshold'):
        scores |= {f'{name}_class_{i}': c[name] for i, c in enumerate(classes)}
    return scores


def class_scores(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Average precision, and the best F1 with its threshold, of one class: [N], [N].

    The average precision is the mean precision at each example of the class, as
    scikit-learn's: `sum_n (recall_n - recall_(n-1)) * precision_n` over thresholds,
    one for each different logit.
    """
    if not labels.any():
        return {'ap': None, 'f1': None, 'threshold': None}
    order = np.argsort(-logits, kind='stable')
    ranked = logits[order].astype(np.float64)
    last = np.append(np.diff(ranked) != 0, True)  # of those that are equal
    hits = np.cumsum(labels[order] > 0.5)[last]
    named = np.flatnonzero(last) + 1
    ap = np.sum(np.diff(hits, prepend=0) * hits / named) / hits[-1]
    f1 = 2 * hits / (named + hits[-1])
    best = np.argmax(f1)
    if np.isnan(ranked).any():
        return {'ap': np.nan, 'f1': np.nan, 'threshold': np.nan}
    threshold = (1 + np.tanh(ranked[last][best] / 2)) / 2
    return {'ap': float(ap), 'f1': float(f1[best]), 'threshold': float(threshold)}
