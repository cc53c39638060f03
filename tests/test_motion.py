"""Labels that move with a picture, against pixels that were drawn from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer.data.objects import pack_objects
from trainer.motion import move_labels

STILL = np.eye(2, 3, dtype=np.float32)


def objects(**changes):
    fields = pack_objects(
        4,
        boxes=[(2, 3, 6, 9), (0, 0, 4, 4), (5, 10, 7, 12)],
        labels=[2, 0, 1],
        areas=[20, 16, 3],
        crowd=[False, True, False],
        keypoints=[[(4, 3, 2), (9, 6, 1)], [(0, 0, 2), (2, 2, 0)], [(11, 6, 1)] * 2],
        num_keypoints=2,
    )
    return fields | changes


def shifted(x, y):
    return STILL + np.array([[0, 0, x], [0, 0, y]], np.float32)


@pytest.mark.parametrize('xp', [np, jnp])
def test_standing_still_changes_nothing(xp):
    before = objects()
    moved = move_labels(before, xp.asarray(STILL), (8, 12), 1.0, xp)
    before['keypoints'][1, 1] = 0  # a keypoint without a label has no place
    assert {*moved} == {*before}
    for field, value in moved.items():
        assert value.dtype == before[field].dtype
        np.testing.assert_array_equal(value, before[field])


def test_a_shift_cuts_boxes_and_areas_and_drops_what_is_gone():
    moved = move_labels(objects(), shifted(-2, -3), (8, 12), 0.25)
    np.testing.assert_array_equal(moved['box_labels'], [2, -1, 1, -1])
    np.testing.assert_array_equal(moved['boxes'][0], [0, 1, 3, 7])
    np.testing.assert_array_equal(moved['boxes'][1:], [[0] * 4, [2, 8, 4, 10], [0] * 4])
    np.testing.assert_allclose(moved['areas'], [15, 0, 3, 0])
    assert not moved['crowd'].any()
    np.testing.assert_array_equal(moved['keypoints'][0], [(2, 0, 2), (7, 3, 1)])
    assert not moved['keypoints'][1].any()


@pytest.mark.parametrize(('least', 'stays'), [(0.1, True), (0.13, False)])
def test_an_object_stays_while_enough_of_its_box_does(least, stays):
    moved = move_labels(objects(), shifted(-2, -3), (8, 12), least)
    assert (moved['box_labels'][1] == 0) == stays  # 1 x 2 of its 4 x 4 pixels are left
    assert moved['crowd'][1] == stays
    np.testing.assert_allclose(moved['areas'][1], 2 if stays else 0)


def test_an_object_outside_is_dropped_even_where_none_need_be_seen():
    moved = move_labels(objects(), shifted(12, 0), (8, 12), 0.0)
    assert (moved['box_labels'] == -1).all()
    assert not any(moved[field].any() for field in ('boxes', 'areas', 'keypoints'))


def test_a_keypoint_outside_is_not_visible_and_one_on_the_edge_is():
    moved = move_labels(objects(), shifted(3, 0), (8, 12), 0.0)
    np.testing.assert_array_equal(moved['keypoints'][0], [(7, 3, 2), (12, 6, 1)])
    assert not moved['keypoints'][2].any()


def test_a_zoom_makes_boxes_and_areas_larger():
    zoom = np.array([[2, 0, 0], [0, 3, 0]], np.float32)
    moved = move_labels(objects(), zoom, (24, 24), 0.5)
    np.testing.assert_array_equal(moved['boxes'][0], [6, 6, 18, 18])
    np.testing.assert_array_equal(moved['areas'], [120, 96, 18, 0])


def test_a_box_turned_holds_its_corners():
    angle = 0.6
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 20], [sine, cosine, 20]], np.float32)
    moved = move_labels(objects(), turn, (50, 50), 1.0)
    y0, x0, y1, x1 = objects()['boxes'][0]
    corners = [(x, y, 1) for x in (x0, x1) for y in (y0, y1)] @ turn.T
    expected = [*corners.min(0)[::-1], *corners.max(0)[::-1]]
    np.testing.assert_allclose(moved['boxes'][0], expected, rtol=1e-6)
    np.testing.assert_allclose(moved['areas'][0], 20, rtol=1e-5)


def test_a_batch_moves_as_its_examples_do_each_by_its_own_motion():
    rng = np.random.default_rng(0)
    matrix = (STILL + rng.normal(scale=0.4, size=(5, 2, 3))).astype(np.float32)
    examples = []
    for _ in matrix:
        boxes = np.sort(rng.uniform(0, 8, (4, 2, 2)), axis=1).reshape(4, 4)
        examples.append(objects(boxes=boxes.astype(np.float32)))
    batch = {k: np.stack([e[k] for e in examples]) for k in examples[0]}
    moved = jax.jit(lambda b, m: move_labels(b, m, (8, 12), 0.3, jnp))(batch, matrix)
    for row, (example, motion) in enumerate(zip(examples, matrix, strict=True)):
        for field, value in move_labels(example, motion, (8, 12), 0.3).items():
            np.testing.assert_allclose(moved[field][row], value, rtol=1e-4, atol=1e-5)


def test_no_objects_no_fields():
    assert move_labels({'image': None, 'label': 3}, STILL, (8, 12), 0.1) == {}
