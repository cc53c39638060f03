"""Keypoints in regions: which object a region is of, what is learnt, what is read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.detection_cases import make_boxes
from trainer.coco_scores import box_iou
from trainer.losses_detection import overlap
from trainer.region_points import assigned, padded, point_loss, read

SIZE, POINTS = 12, 3


def make_case(seed=0, batch=2, count=4):
    """Regions, and keypoints well within each: x, y, visible."""
    rng = np.random.default_rng(seed)
    regions = make_boxes(rng, batch, count).astype(np.float32)
    low, sides = regions[..., 1::-1], (regions[..., 2:] - regions[..., :2])[..., ::-1]
    shares = rng.uniform(0.1, 0.9, (batch, count, POINTS, 2))
    places = low[:, :, None] + shares * sides[:, :, None]
    seen = np.full((*places.shape[:-1], 1), 2)
    return regions, np.concatenate([places, seen], axis=-1).astype(np.float32)


def shares_of(regions, keypoints):
    """What a map that knows each place exactly has in each cell, by a loop."""
    maps = np.zeros((*regions.shape[:2], SIZE, SIZE, keypoints.shape[2]))
    for image, row, k in np.ndindex(*keypoints.shape[:3]):
        y0, x0, y1, x1 = np.float64(regions[image, row])
        x, y, _ = np.float64(keypoints[image, row, k])
        y, x = (y - y0) / (y1 - y0) * SIZE - 0.5, (x - x0) / (x1 - x0) * SIZE - 0.5
        for i in (int(y), int(y) + 1):
            for j in (int(x), int(x) + 1):
                weight = (1 - abs(y - i)) * (1 - abs(x - j))
                maps[image, row, i, j, k] = weight
    return maps


def test_the_overlap_is_that_of_the_scores():
    rng = np.random.default_rng(3)
    boxes, others = make_boxes(rng, 6), make_boxes(rng, 5)
    others[0] = 3, 3, 3, 3
    expected = box_iou(boxes, others, np.zeros(5, bool))
    found = overlap(jnp.asarray(boxes)[:, None], jnp.asarray(others)[None])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    nothing = jnp.zeros(4)
    assert overlap(nothing, nothing) == 0


def test_a_region_is_of_the_object_that_it_overlaps_most():
    rng = np.random.default_rng(0)
    boxes = make_boxes(rng, 3, 5).astype(np.float32)
    there = rng.random((3, 5)) < 0.7
    there[1] = False
    regions = boxes + rng.normal(0, 2, boxes.shape).astype(np.float32)
    which, good = assigned(jnp.asarray(regions), boxes, there)
    assert 0 < int(good.sum()) < good.size and not good[1].any()
    for image, row in np.ndindex(3, 5):
        alike = box_iou(regions[image, [row]], boxes[image], np.zeros(5, bool))[0]
        alike = np.where(there[image], alike, -1)
        assert good[image, row] == (alike.max() >= 0.5)
        if good[image, row]:
            assert which[image, row] == alike.argmax()


def test_the_loss_is_the_divergence_from_where_keypoints_are():
    regions, keypoints = make_case()
    wanted = shares_of(regions, keypoints)
    logits = np.random.default_rng(1).normal(size=wanted.shape).astype(np.float32)
    logs = np.asarray(jax.nn.log_softmax(logits.reshape(2, 4, -1, POINTS), axis=2))
    logs = logs.reshape(wanted.shape)
    parts = np.where(wanted > 0, wanted * (np.log(np.maximum(wanted, 1e-30)) - logs), 0)
    expected = parts.sum(axis=(2, 3)).mean(axis=(1, 2)) / np.log(SIZE * SIZE)
    np.testing.assert_allclose(point_loss(logits, regions, keypoints), expected, 1e-4)
    even = point_loss(np.zeros_like(logits), regions, keypoints)
    assert (even < 1).all() and (even > 0.7).all()  # less what four cells share
    exact = np.log(np.maximum(wanted, 1e-12)).astype(np.float32)
    np.testing.assert_allclose(point_loss(exact, regions, keypoints), 0, atol=1e-4)


def test_what_is_not_labelled_or_outside_counts_nowhere():
    regions, keypoints = make_case()
    logits = np.random.default_rng(1).normal(size=(2, 4, SIZE, SIZE, POINTS))
    alone = point_loss(logits[:, :1], regions[:, :1], keypoints[:, :1])
    hidden = keypoints.copy()
    hidden[:, 1:3, :, 2] = 0
    hidden[:, 3, :, 0] += 1000
    np.testing.assert_allclose(point_loss(logits, regions, hidden), alone, rtol=1e-5)
    nothing = point_loss(logits, regions, np.zeros_like(keypoints))
    np.testing.assert_array_equal(nothing, 0)


def test_boxes_are_padded_by_a_share_of_their_sides():
    boxes = np.float32([[[2, 4, 6, 14]]])
    np.testing.assert_allclose(padded(boxes, 0.25), [[[1, 1.5, 7, 16.5]]])
    np.testing.assert_array_equal(padded(boxes, 0.0), boxes)


def test_gradients_stay_finite_where_a_region_is_nothing():
    regions, keypoints = make_case()
    regions[:, 0] = 5, 5, 5, 5
    keypoints[:, 1:] = 0
    logits = jnp.zeros((2, 4, SIZE, SIZE, POINTS))

    def total(logits):
        return point_loss(logits, regions, keypoints).sum()

    value, slope = jax.value_and_grad(total)(logits)
    assert jnp.isfinite(value) and jnp.isfinite(slope).all()


def test_a_place_is_read_between_the_cells():
    regions, keypoints = make_case(2)
    wanted = shares_of(regions, keypoints)
    found = read(np.log(np.maximum(wanted, 1e-9)).astype(np.float32), regions)
    sides = (regions[..., 2:] - regions[..., :2])[..., ::-1]
    apart = np.abs(found[..., :2] - keypoints[..., :2]) / sides[:, :, None] * SIZE
    assert apart.max() < 0.16  # of a cell: the parabola through a tent errs by so much
    np.testing.assert_allclose(found[..., 2], wanted.max(axis=(2, 3)), atol=1e-4)


@pytest.mark.parametrize('width', [1.0, 2.0])
def test_a_bell_is_read_exactly(width):
    regions = np.float32([[[10, 20, 22, 44]]])  # 12 high, 24 wide: cells of 1 and 2
    rows, columns = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing='ij')
    logits = -((rows - 5.3) ** 2 + (columns - 6.6) ** 2) / (2 * width**2)
    found = read(np.float32(logits)[None, None, ..., None], regions)
    expected = 20 + 2 * (6.6 + 0.5), 10 + 5.3 + 0.5
    np.testing.assert_allclose(found[0, 0, 0, :2], expected, atol=1e-3)
