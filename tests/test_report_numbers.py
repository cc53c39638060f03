"""A report's numbers are scikit-learn's, a plain loop's and those of results.json."""

import numpy as np
import pytest
from sklearn import metrics as reference

from trainer.calibration import binned, expected_error
from trainer.report import certainty, classes
from trainer.report.story import wilson


def guesses(classes_, examples, seed=0):
    """Evidence as a classifier leaves it, of random and unsure answers."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(examples, classes_)).astype(np.float32)
    label = rng.integers(classes_ - 1, size=examples)  # one class has no example
    logits[np.arange(examples), label] += 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    order = np.argsort(-shares, axis=1)[:, :3]
    picked = np.take_along_axis(shares, order, axis=1)
    return {'label': label, 'guesses': order, 'probabilities': picked, 'step': 5}


@pytest.mark.parametrize('count', [3, 10, 200])
def test_confusion_and_scores_of_classes_are_scikit_learns(count):
    arrays = guesses(count, 500)
    label, guess = arrays['label'], arrays['guesses'][:, 0]
    counts = classes.confusion(arrays, count)
    labels = np.arange(count)
    wanted = reference.confusion_matrix(label, guess, labels=labels)
    np.testing.assert_array_equal(counts, wanted)
    scores = classes.class_scores(counts)
    precision, recall, f1, support = reference.precision_recall_fscore_support(
        label, guess, labels=labels, zero_division=np.nan
    )
    np.testing.assert_allclose(scores['precision'], precision)
    np.testing.assert_allclose(scores['recall'], recall)
    np.testing.assert_allclose(scores['f1'], f1)
    np.testing.assert_array_equal(counts.sum(axis=1), support)


def test_the_calibration_error_is_that_of_a_loop_over_bins():
    arrays = guesses(5, 400)
    confidence = arrays['probabilities'][:, 0]
    right = arrays['guesses'][:, 0] == arrays['label']
    wanted = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            wanted += inside.mean() * gap
    found = expected_error(certainty.answers(arrays))
    assert found == pytest.approx(wanted, rel=1e-6)


def test_confidences_at_the_edges_belong_to_a_bin_and_nan_to_none():
    table = binned(np.array([0.0, 1 / 15, 0.5, 1.0, np.nan]), np.ones(5, bool))
    assert table[0].sum() == 4 and table[0][0] == 2 and table[0][-1] == 1
    assert expected_error(np.zeros((3, 15))) is None


def test_the_interval_of_a_share_holds_it_and_ends_at_0_and_1():
    low, high = wilson(0.9833, 360)
    assert (low, high) == pytest.approx((0.9640, 0.9924), abs=1e-4)
    assert (wilson(0.0, 10)[0], wilson(1.0, 10)[1]) == pytest.approx((0, 1))


def test_a_thousand_classes_are_shown_by_the_pairs_most_confused():
    counts = np.diag(np.full(1000, 40))
    counts[17, 901], counts[3, 4] = 9, 2
    names = [f'class {i}' for i in range(1000)]
    (pairs,) = classes.pairs(counts, names)
    assert pairs.rows[0] == ['class 17', 'class 901', 9, '18.4 %']
    assert len(pairs.rows) == 2
    (figures,) = classes.matrix(counts, names)
    drawn = figures.figures[0].svg
    assert 'class 901' in drawn and len(drawn) < 50_000
