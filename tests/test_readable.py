"""Decoded arrays in words: classes ranked, several at once, objects, numbers."""

import numpy as np

from trainer.data.facts import RememberedData
from trainer.readable import readable, short

DATA = RememberedData(
    {
        'class_names': ['cat', 'dog', 'owl'],
        'keypoint_names': ['nose', 'tail'],
        'segmentation_names': ['ground', 'cat', 'dog'],
    }
)
THIRD = np.float32(1 / 3)


def test_probabilities_are_ranked():
    decoded = {'label': np.int32(2), 'probabilities': np.float32([0.1, 0.25, 0.65])}
    assert readable(decoded, DATA, 2) == {
        'label': 'owl',
        'probability': 0.65,
        'top': [
            {'label': 'owl', 'probability': 0.65},
            {'label': 'dog', 'probability': 0.25},
        ],
    }


def test_several_classes_at_once():
    scores = np.float32([0.75, 0.5, 0.125])
    assert readable({'labels': scores >= 0.5, 'scores': scores}, DATA, 5) == {
        'labels': ['cat', 'dog'],
        'scores': {'cat': 0.75, 'dog': 0.5, 'owl': 0.125},
    }


def test_objects_without_padding():
    decoded = {
        'boxes': np.float32([[0, 1, 2, 3], [0, 0, 0, 0]]),
        'box_labels': np.int32([1, -1]),
        'scores': np.float32([0.5, 0]),
    }
    (found,) = readable(decoded, DATA, 5)['objects']
    assert found == {'label': 'dog', 'score': 0.5, 'bbox': [1, 0, 2, 2]}


def test_objects_have_their_own_keypoints():
    points = np.float32([[[0, 0, 0], [0, 0, 0]], [[1.5, 2, 0.5], [3, 4, 0.25]]])
    decoded = {
        'boxes': np.float32([[0, 0, 0, 0], [0, 1, 2, 3]]),
        'box_labels': np.int32([-1, 0]),
        'scores': np.float32([0, 0.5]),
        'keypoints': points,
    }
    (found,) = readable(decoded, DATA, 5)['objects']
    assert found['label'] == 'cat' and found['bbox'] == [1, 0, 2, 2]
    assert found['keypoints'] == [
        {'name': 'nose', 'x': 1.5, 'y': 2.0, 'score': 0.5},
        {'name': 'tail', 'x': 3.0, 'y': 4.0, 'score': 0.25},
    ]


def test_keypoints_have_names_and_maps_are_shares():
    decoded = {
        'keypoints': np.float32([[1.5, 2, 0.5], [3, 4, 0.25]]),
        'score': np.float32(0.375),
        'segmentation': np.uint8([[0, 1, 255], [0, 0, 255]]),
    }
    assert readable(decoded, DATA, 5) == {
        'score': 0.375,
        'keypoints': [
            {'name': 'nose', 'x': 1.5, 'y': 2.0, 'score': 0.5},
            {'name': 'tail', 'x': 3.0, 'y': 4.0, 'score': 0.25},
        ],
        'shares': {'ground': 0.75, 'cat': 0.25, 'dog': 0.0},
    }


def test_anything_else_is_given_as_it_is():
    decoded = {'angle': THIRD, 'grid': np.uint8([[0, 1]])}
    assert readable(decoded, DATA, 5) == {'angle': 0.33333334, 'grid': [[0, 1]]}


def test_numbers_have_the_digits_that_read_back():
    assert np.float32(short(THIRD)) == THIRD and len(str(short(THIRD))) <= 11
    assert short(np.array([np.nan, 1], np.float32))[1] == 1.0
