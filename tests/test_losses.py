"""Losses against Optax, a closed form in numpy, and torch where it is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from trainer.losses import softmax_cross_entropy

WEIGHTS = (0.5, 2.0, 1.0, 0.0, 3.0)


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(7, 5)).astype(np.float32)
    return logits, rng.integers(5, size=7).astype(np.int32)


def closed_form(logits, labels, smoothing, weights, gamma):
    logits = logits.astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = []
    for row, label in zip(p, labels, strict=True):
        target = np.full(len(row), smoothing / len(row))
        target[label] += 1 - smoothing
        losses.append(-(weights * target * (1 - row) ** gamma * np.log(row)).sum())
    return np.array(losses)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_equals_optax(examples, smoothing):
    logits, labels = examples
    targets = optax.smooth_labels(jax.nn.one_hot(labels, 5), smoothing)
    expected = optax.softmax_cross_entropy(logits, targets)
    losses = softmax_cross_entropy(logits, labels, label_smoothing=smoothing)
    assert losses.shape == (7,)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('weights', [None, WEIGHTS])
def test_equals_closed_form(examples, smoothing, weights, gamma):
    logits, labels = examples
    losses = softmax_cross_entropy(
        logits,
        labels,
        label_smoothing=smoothing,
        class_weights=weights,
        focal_gamma=gamma,
    )
    weights = np.ones(5) if weights is None else np.array(weights)
    expected = closed_form(logits, labels, smoothing, weights, gamma)
    np.testing.assert_allclose(losses, expected, rtol=2e-6, atol=1e-7)


def test_equals_torch(examples):
    torch = pytest.importorskip('torch')
    logits, labels = examples
    arguments = torch.tensor(logits), torch.tensor(labels, dtype=torch.long)
    options = {'weight': torch.tensor(WEIGHTS), 'label_smoothing': 0.1}
    cross_entropy = torch.nn.functional.cross_entropy
    losses = softmax_cross_entropy(
        logits, labels, label_smoothing=0.1, class_weights=WEIGHTS
    )
    each = cross_entropy(*arguments, **options, reduction='none')
    np.testing.assert_allclose(losses, each.numpy(), rtol=1e-5, atol=1e-6)
    mean = cross_entropy(*arguments, **options)
    summed = np.array(WEIGHTS)[labels].sum()
    np.testing.assert_allclose(losses.sum() / summed, mean.numpy(), rtol=1e-5)


@pytest.mark.parametrize('gamma', [0.0, 2.0])
def test_shares_of_classes_are_labels_too(examples, gamma):
    logits, labels = examples
    options = {'label_smoothing': 0.1, 'class_weights': WEIGHTS, 'focal_gamma': gamma}
    expected = softmax_cross_entropy(logits, labels, **options)
    losses = softmax_cross_entropy(logits, jax.nn.one_hot(labels, 5), **options)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    other = (labels + 2) % 5
    shares = 0.7 * jax.nn.one_hot(labels, 5) + 0.3 * jax.nn.one_hot(other, 5)
    mixed = 0.7 * expected + 0.3 * softmax_cross_entropy(logits, other, **options)
    losses = softmax_cross_entropy(logits, shares, **options)
    np.testing.assert_allclose(losses, mixed, rtol=1e-5)


def test_bfloat16_logits_are_computed_in_float32(examples):
    logits, labels = examples
    logits = jnp.asarray(logits, jnp.bfloat16)
    losses = softmax_cross_entropy(logits, labels)
    assert losses.dtype == jnp.float32
    expected = softmax_cross_entropy(logits.astype(jnp.float32), labels)
    np.testing.assert_array_equal(losses, expected)


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
def test_extreme_logits_have_finite_losses_and_gradients(gamma):
    logits = jnp.array([[1e4, 0.0, -1e4], [0.0, -jnp.inf, 0.0]])
    labels = jnp.array([0, 2])

    def mean(logits):
        return softmax_cross_entropy(logits, labels, focal_gamma=gamma).mean()

    loss, gradient = jax.value_and_grad(mean)(logits)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
