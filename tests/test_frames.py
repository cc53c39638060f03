"""Places and maps in a file's pixels are those that the net's pixels came from."""

import numpy as np
import pytest

from trainer.data.source import IGNORE
from trainer.frames import transformed, whole
from trainer.transforms import CenterCrop, ResizeShortSide

BOXES = np.float32([[3, 4, 20, 30], [-5, 0, 90, 200]])
POINTS = np.float32([[1.5, 2.5, 0.9], [30, 40, 0.5]])


@pytest.mark.parametrize('size', [(40, 60), (61, 37), (480, 641), (3000, 4000)])
@pytest.mark.parametrize(
    'transforms',
    [
        [ResizeShortSide(size=32), CenterCrop(size=32)],
        [ResizeShortSide(size=64), CenterCrop(size=24)],
        [ResizeShortSide(size=33)],
        [],
    ],
)
def test_labels_that_went_with_the_picture_come_back(size, transforms):
    image = np.zeros((*size, 3), np.uint8)
    net, frame = transformed(image, transforms)
    height, width = size
    point = np.float32([[[width / 2, height / 2, 2], [width / 2.1, height / 1.9, 2]]])
    example = {
        'image': image,
        'boxes': np.float32([[height / 2.2, width / 2.2, height / 1.8, width / 1.8]]),
        'box_labels': np.int32([0]),
        'keypoints': point,
    }
    moved = example
    for transform in transforms:
        moved = transform(moved)
    assert net.shape == moved['image'].shape and frame.net == net.shape[:2]
    back = frame.to_file({key: moved[key] for key in ('boxes', 'keypoints')})
    np.testing.assert_allclose(back['boxes'], example['boxes'], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(back['keypoints'], point, rtol=1e-4, atol=1e-2)


def test_boxes_end_at_the_edge_and_keypoints_may_lie_outside():
    found = {'boxes': BOXES, 'keypoints': POINTS, 'score': np.float32(0.5)}
    same = whole((80, 100)).to_file(found)
    np.testing.assert_array_equal(same['boxes'], [[3, 4, 20, 30], [0, 0, 80, 100]])
    np.testing.assert_array_equal(same['keypoints'], POINTS)
    half = whole((80, 100)).resized((40, 50)).to_file(found)
    np.testing.assert_array_equal(half['keypoints'][:, :2], 2 * POINTS[:, :2])
    np.testing.assert_array_equal(half['keypoints'][:, 2], POINTS[:, 2])
    assert half['score'] == same['score'] == 0.5


def test_maps_are_enlarged_and_say_nothing_of_what_was_cut_off():
    image = np.zeros((8, 12, 3), np.uint8)
    net, frame = transformed(image, [ResizeShortSide(size=4), CenterCrop(size=4)])
    found = np.arange(16, dtype=np.uint8).reshape(net.shape[:2])
    spread = frame.to_file({'segmentation': found})['segmentation']
    assert spread.shape == (8, 12) and spread.dtype == np.uint8
    np.testing.assert_array_equal(spread[:, 2:10], found.repeat(2, 0).repeat(2, 1))
    assert (spread[:, :2] == IGNORE).all() and (spread[:, 10:] == IGNORE).all()


def test_a_transform_that_leaves_no_place_is_taken_for_a_resize():
    def blank(example):
        points = np.zeros_like(example['keypoints'])
        return {**example, 'image': np.zeros((4, 4, 3), np.uint8), 'keypoints': points}

    _, frame = transformed(np.zeros((8, 12, 3), np.uint8), [blank])
    assert frame == whole((8, 12)).resized((4, 4))
