"""Pictures with labels: everything is where its pixels are, and nothing else moves."""

import numpy as np
import pytest

from trainer.data.source import IGNORE
from trainer.drawing import captioned, colours, draw, sheet, tinted

GREY = np.full((80, 100, 1), 60, np.uint8)


def test_colours_are_apart():
    assert colours().shape == (256, 3) and not colours()[0].any()
    first = colours()[:13].astype(int)
    distances = np.abs(first[:, None] - first).sum(-1) + 999 * np.eye(13, dtype=int)
    assert distances.min() > 40


def test_without_labels_a_picture_is_only_enlarged():
    picture = draw(np.arange(75, dtype=np.uint8).reshape(5, 5, 3), {})
    assert picture.shape == (160, 160, 3)
    np.testing.assert_array_equal(
        picture[16::32, 16::32].ravel(), np.arange(75, dtype=np.uint8)
    )
    large = np.zeros((200, 300, 3), np.uint8)
    assert draw(large, {}).shape == large.shape


def test_classes_are_tinted_but_for_background_and_ignored():
    classes = np.zeros((80, 100), np.uint8)
    classes[:10, :10], classes[20:30, :10] = 2, IGNORE
    picture = tinted(GREY.repeat(3, -1), classes)
    changed = (picture != 60).any(-1)
    np.testing.assert_array_equal(changed, classes == 2)
    expected = (0.55 * 60 + 0.45 * colours()[2]).astype(np.uint8)
    np.testing.assert_array_equal(picture[5, 5], expected)


def test_boxes_are_drawn_on_their_edges():
    fields = {
        'boxes': np.float32([[20, 30, 60, 90], [0, 0, 9, 9], [5, 5, 70, 70]]),
        'box_labels': np.int32([1, -1, 0]),
        'scores': np.float32([0.9, 0.9, 0.1]),
    }
    picture = draw(GREY, fields, ('cat', 'dog'))
    assert picture.shape == (160, 200, 3)
    np.testing.assert_array_equal(picture[80, 60], colours()[2])
    np.testing.assert_array_equal(picture[119, 100], colours()[2])
    np.testing.assert_array_equal(picture[80, 120], [60, 60, 60])
    del fields['scores']
    assert (draw(GREY, fields)[11, 60] == colours()[1]).all()


@pytest.mark.parametrize('shape', [(2, 3), (1, 2, 3)])
def test_keypoints_that_are_seen_are_drawn(shape):
    points = np.float32([[20, 30, 2], [70, 50, 0]]).reshape(shape)
    picture = draw(GREY, {'keypoints': points})
    np.testing.assert_array_equal(picture[60, 40], colours()[1])
    np.testing.assert_array_equal(picture[100, 140], [60, 60, 60])


def test_keypoints_of_boxes_that_are_left_out_are_not_drawn():
    fields = {
        'boxes': np.float32([[0, 0, 10, 10], [40, 50, 60, 90]]),
        'box_labels': np.int32([0, 0]),
        'scores': np.float32([0.9, 0.1]),
        'keypoints': np.float32([[[20, 30, 0.5]], [[70, 50, 0.5]]]),
    }
    picture = draw(GREY, fields, ('cat',))
    np.testing.assert_array_equal(picture[60, 40], colours()[1])
    np.testing.assert_array_equal(picture[100, 140], [60, 60, 60])


def test_captions_and_sheets():
    picture = draw(GREY, {})
    said = captioned(picture, ['cat 0.93', 'was äöü, 猫'])
    assert said.shape[0] > picture.shape[0] and said.shape[1] == picture.shape[1]
    np.testing.assert_array_equal(said[: len(picture)], picture)
    assert (said[len(picture) :] < 100).any()
    whole = sheet([[said, picture], [picture]])
    assert whole.shape == (said.shape[0] + 160 + 8, 2 * 200 + 8, 3)
    assert (whole[-80, 300] == 255).all()
