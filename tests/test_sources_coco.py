"""COCO files: boxes, keypoints and masks as others write them, and what is wrong."""

import json

import numpy as np
import pytest

from tests.coco_files import (
    HEIGHT,
    NAMES,
    TRIANGLE,
    WIDTH,
    box,
    content,
    example,
    opener,
    runs,
    thing,
)
from trainer.data.polygons import fill
from trainer.data.sources.coco import Coco
from trainer.errors import UserError


@pytest.fixture
def coco(tmp_path):
    return opener(tmp_path)


def test_boxes_classes_and_crowds(coco):
    things = [
        thing(1, 100),
        thing(2, 100, (0, 0, 48, 40), category=90, iscrowd=1, area=77),
        thing(3, 102, category=90),
    ]
    dataset = coco(content(things))
    assert dataset.class_names == ('cat', 'dog')
    assert dataset.label_counts().tolist() == [1, 2]
    found = example(dataset, 100)
    assert found['boxes'].tolist() == [[5, 10, 35, 30], [0, 0, 40, 48]]
    assert found['box_labels'].tolist() == [0, 1]
    assert found['crowd'].tolist() == [False, True]
    assert found['areas'].tolist() == [600, 77]
    empty = example(dataset, 101)
    assert empty['box_labels'].tolist() == [-1, -1] and not empty['boxes'].any()
    assert set(found) == {'image', 'boxes', 'box_labels', 'areas', 'crowd'}


def test_the_largest_are_kept_where_there_are_too_many(coco):
    things = [thing(n, 100, (1, 1, 3 + n, 5)) for n in range(5)]
    found = example(coco(content(things), max_objects=2), 100)
    assert found['boxes'][:, 3].tolist() == [8, 7]


def test_keypoints_in_the_middle_of_their_pixels(coco):
    things = [
        thing(1, 100, keypoints=[12, 8, 2, 20, 8, 1, 0, 0, 0]),
        thing(2, 100, category=90),
    ]
    dataset = coco(content(things, keypoints=NAMES))
    assert dataset.keypoint_names == tuple(NAMES)
    assert dataset.flip_pairs == ((0, 1),)
    found = example(dataset, 100)['keypoints']
    assert found.tolist() == [
        [[12.5, 8.5, 2], [20.5, 8.5, 1], [0, 0, 0]],
        [[0] * 3] * 3,
    ]
    assert coco(content(things, keypoints=NAMES), flip_pairs=[[1, 2]]).flip_pairs == (
        (1, 2),
    )
    boxes = coco(content(things, keypoints=NAMES), fields=['boxes'])
    assert boxes.keypoint_names == () and 'keypoints' not in boxes.source[0]


def test_masks_are_painted_small_over_large(coco):
    things = [
        thing(1, 100, segmentation=TRIANGLE, area=300),
        thing(2, 100, (0, 0, 48, 40), category=90, segmentation=[box(0, 0, 40, 48)]),
        thing(3, 101, iscrowd=1, segmentation=runs(10)),
    ]
    dataset = coco(content(things))
    assert dataset.segmentation_names == ('background', 'cat', 'dog')
    found = example(dataset, 100)['segmentation']
    triangle = fill(np.array([(4, 4), (4, 30), (30, 4)], float), HEIGHT, WIDTH)
    np.testing.assert_array_equal(found, np.where(triangle, 1, 2))
    crowd = example(dataset, 101)['segmentation']
    assert crowd[:10, 0].all() and crowd.sum() == 10
    alone = coco(content(things), fields=['segmentation'])
    assert alone.class_names == () and set(alone.source[0]) == {'image', 'segmentation'}


def test_a_box_may_come_from_its_outline(coco):
    one = thing(1, 100, segmentation=TRIANGLE)
    del one['bbox'], one['area']
    found = example(coco(content([one])), 100)
    assert found['boxes'][0].tolist() == [4, 4, 30, 30]


def test_one_file_is_split_and_several_are_the_splits(coco, tmp_path):
    whole = content([thing(n, 100 + n) for n in range(6)])
    assert [len(coco(whole, split)) for split in ('train', 'test')] == [5, 1]
    few = tmp_path / 'few.json'
    few.write_text(json.dumps(content([thing(1, 100)], images=2)))
    coco(whole)
    files = {'train': str(tmp_path / 'all.json'), 'val': str(few)}
    for split, count in (('train', 6), ('val', 2), ('test', 2)):
        source = Coco(annotations=files, images=str(tmp_path))
        assert len(source.open(split)) == count
    with pytest.raises(UserError, match="no folder for 'val'"):
        Coco(annotations=files, images={'train': 'x'}).open('train')


def test_the_fingerprint_follows_annotations_not_the_place(coco):
    first = coco(content([thing(1, 100)])).fingerprint
    assert coco(content([thing(1, 100)])).fingerprint == first
    assert coco(content([thing(1, 100, (10, 5, 20, 31))])).fingerprint != first
