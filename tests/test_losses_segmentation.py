"""Losses of segmentation against plain loops over pixels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.segmentation_cases import make_maps, prepared, softmax
from trainer.data.source import IGNORE
from trainer.losses_segmentation import pixel_cross_entropy, soft_dice


@pytest.mark.parametrize('gamma', [0, 2.0])
@pytest.mark.parametrize('weights', [None, (1.0, 2.0, 0.5)])
def test_cross_entropy_equals_a_loop_over_pixels(weights, gamma):
    logits, labels = make_maps(0)
    labels[2] = IGNORE
    expected = []
    for image, found in zip(softmax(logits), labels, strict=True):
        p, c = image[found != IGNORE], found[found != IGNORE]
        own = p[np.arange(len(c)), c]
        losses = -np.array(weights or (1, 1, 1))[c] * (1 - own) ** gamma * np.log(own)
        expected.append(losses.mean() if len(c) else 0)
    losses = jax.jit(
        functools.partial(pixel_cross_entropy, class_weights=weights, focal_gamma=gamma)
    )(logits, labels)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('weights', [None, (1.0, 2.0, 0.5)])
def test_dice_equals_a_loop_over_images_and_classes(weights):
    logits, labels = make_maps(1, absent=(1,))
    labels[2] = IGNORE
    expected = []
    for image, found in zip(softmax(logits), labels, strict=True):
        scored, total, weight = found != IGNORE, 0.0, 0.0
        for c in np.unique(found[scored]):
            p, t = image[scored][:, c], found[scored] == c
            dice = 2 * p[t].sum() / (p.sum() + t.sum())
            total += (weights or (1, 1, 1))[c] * (1 - dice)
            weight += (weights or (1, 1, 1))[c]
        expected.append(total / weight if weight else 0)
    losses = jax.jit(functools.partial(soft_dice, class_weights=weights))(
        logits, labels
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)


def test_ignored_pixels_and_empty_images_have_no_gradient():
    logits, labels = make_maps(2)
    labels[0] = IGNORE
    task = prepared(dice=1.0, focal_gamma=0.5)

    @jax.jit
    @jax.grad
    def gradient(logits):
        return jnp.sum(task.loss(logits, {'segmentation': labels}))

    found = gradient(logits)
    assert np.isfinite(found).all()
    assert (np.abs(found).sum(-1) > 0).tolist() == (labels != IGNORE).tolist()
