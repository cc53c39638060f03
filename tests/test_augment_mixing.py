"""Mixup and CutMix against numpy, and what losses and scores make of mixed labels."""

import types

import jax
import numpy as np
import pytest

from trainer.augment import CutMix, Mixup, MixupOrCutMix
from trainer.augment.mixing import symmetric_beta
from trainer.errors import UserError
from trainer.losses import softmax_cross_entropy
from trainer.tasks.classification import Classification

KEY = jax.random.key(5)
DATA = types.SimpleNamespace(
    num_classes=7, class_names=tuple('abcdefg'), label_counts=lambda: np.ones(7)
)


def batch(size=16):
    rng = np.random.default_rng(0)
    return {
        'image': rng.random((size, 6, 8, 3), np.float32),
        'label': np.arange(size, dtype=np.int32) % 7,
        'mask': np.arange(size) < size - 2,
    }


@pytest.mark.parametrize('alpha', [0.2, 0.5, 1.0, 8.0])
def test_shares_are_of_a_beta_distribution(alpha):
    stats = pytest.importorskip('scipy.stats')
    shares = np.asarray(symmetric_beta(KEY, alpha, 4000), np.float64)
    assert shares.min() >= 0 and shares.max() <= 1
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize('function', [Mixup(alpha=0.8), CutMix(), MixupOrCutMix()])
def test_pictures_and_labels_are_mixed_by_one_share(function):
    """The share is read off the pictures: picture i is all i + 1."""
    before = batch(64)
    before['image'][:] = np.arange(1, 65)[:, None, None, None]
    before['label'] = np.arange(64, dtype=np.int32)
    after = jax.device_get(jax.jit(function)(KEY, before))
    assert after['mix'].min() >= 0.5 and after['mix'].max() <= 1
    for row in range(1, 62):
        labels = {int(after['label'][row]), int(after['label_b'][row])}
        assert labels == {row, row - 1}
        mix, label, other = (after[k][row] for k in ('mix', 'label', 'label_b'))
        expected = mix * (label + 1) + (1 - mix) * (other + 1)
        np.testing.assert_allclose(after['image'][row].mean(), expected, rtol=1e-5)
    assert len(np.unique(after['mix'])) > 10
    own = after['label'] == before['label']
    assert 20 < own.sum() < 64  # the other's share is the larger one at times


@pytest.mark.parametrize('function', [Mixup(alpha=9), CutMix(), MixupOrCutMix()])
def test_nothing_is_mixed_with_padding(function):
    before = batch()
    after = jax.device_get(function(KEY, before))
    np.testing.assert_array_equal(after['mask'], before['mask'])
    for row in (0, 14, 15):  # 0 has padding before it, the others are padding
        np.testing.assert_array_equal(after['image'][row], before['image'][row])
        assert after['label'][row] == before['label'][row] and after['mix'][row] == 1
    assert (after['image'][1] != before['image'][1]).any()


def test_cutmix_pastes_a_box_and_weighs_by_its_pixels():
    before = batch(64)
    after = jax.device_get(CutMix()(KEY, before))
    boxes = np.asarray(CutMix().draw(jax.random.split(KEY)[1], (64, 6, 8, 3)))
    for row in range(1, 62):
        top, left, bottom, right = boxes[row]
        expected = before['image'][row].copy()
        part = slice(top, bottom), slice(left, right)
        expected[part] = before['image'][row - 1][part]
        np.testing.assert_array_equal(after['image'][row], expected)
        share = 1 - (bottom - top) * (right - left) / 48
        assert max(share, 1 - share) == pytest.approx(after['mix'][row], abs=1e-6)


@pytest.mark.parametrize('function', [Mixup, CutMix, MixupOrCutMix])
def test_some_or_none_are_mixed(function):
    before = batch(200)
    none = function(probability=0)(KEY, before)
    np.testing.assert_array_equal(none['image'], before['image'])
    np.testing.assert_array_equal(none['label'], before['label'])
    some = np.asarray(function(probability=0.5)(KEY, before)['image'])
    assert 50 < (some != before['image']).any((1, 2, 3)).sum() < 120


def test_targets_multiple_labels_and_features_are_mixed():
    before = {
        'image': np.eye(8, dtype=np.float32),
        'target': np.arange(8, dtype=np.float32)[:, None],
        'labels': np.eye(8, dtype=np.float32),
        'mask': np.ones(8, bool),
    }
    after = jax.device_get(Mixup(alpha=2.0)(KEY, before))
    np.testing.assert_allclose(after['labels'], after['image'], atol=1e-6)
    expected = after['image'] @ np.arange(8)
    np.testing.assert_allclose(after['target'][:, 0], expected, rtol=1e-5)
    assert 'mix' not in after


@pytest.mark.parametrize('field', ['segmentation', 'boxes', 'keypoints'])
def test_labels_that_lie_in_the_picture_are_refused(field):
    with pytest.raises(UserError, match=rf'has `{field}`; take @Mixup\(\) out'):
        Mixup()(KEY, batch() | {field: np.zeros((16, 2))})


def test_a_picture_is_mixed_once():
    with pytest.raises(UserError, match=r'once; use one of them, or @MixupOrCutMix'):
        CutMix()(KEY, Mixup()(KEY, batch()))


@pytest.mark.parametrize('weights', [None, [1, 2, 3, 0, 1, 1, 2]])
@pytest.mark.parametrize('gamma', [0.0, 2.0])
def test_the_loss_of_mixed_labels_is_the_mean_of_both(weights, gamma):
    task = Classification(
        label_smoothing=0.1, class_weights=weights, focal_gamma=gamma
    ).prepare(DATA)
    after = Mixup()(KEY, batch())
    logits = np.random.default_rng(0).normal(size=(16, 7)).astype(np.float32)
    options = {
        'label_smoothing': 0.1,
        'class_weights': weights,
        'focal_gamma': gamma,
    }
    first = softmax_cross_entropy(logits, after['label'], **options)
    other = softmax_cross_entropy(logits, after['label_b'], **options)
    expected = after['mix'] * first + (1 - after['mix']) * other
    losses = jax.jit(task.loss)(logits, after)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_training_accuracy_counts_the_larger_share():
    task = Classification().prepare(DATA)
    after = Mixup()(KEY, batch())
    logits = 9.0 * np.eye(7, dtype=np.float32)[np.asarray(after['label'])]
    scores = task.metrics(train=True).single_from_model_output(
        outputs=logits, losses=task.loss(logits, after), **after
    )
    assert scores.acc_top1.compute() == 1.0 and scores.acc_top1.count == 14
