"""COCO files with mistakes, each named by file and id; and what pycocotools reads."""

import json

import numpy as np
import pytest

from tests.coco_files import (
    NAMES,
    TRIANGLE,
    content,
    example,
    opener,
    thing,
)
from tests.picture_folders import picture, write
from trainer.data.run_lengths import decode_runs
from trainer.data.sources.coco import Coco
from trainer.errors import UserError


@pytest.fixture
def coco(tmp_path):
    return opener(tmp_path)


def test_everything_wrong_is_named_with_file_and_id(coco, tmp_path, capsys):
    (tmp_path / '5.jpg').unlink()
    things = [
        thing(1, 100),
        thing(2, 100, (50, 2, 9, 9)),
        thing(3, 100, (40, 2, 20, 9)),
        thing(4, 100, (4, 2, 0, 9)),
        thing(5, 100, (4, 2, 'x', 9)),
        thing(6, 777),
        thing(7, 101, category=4),
        thing(8, 101, keypoints=[12, 8, 2, 90, 8, 2, 0, 0, 0]),
        thing(9, 101, keypoints=[1, 2]),
        thing(10, 102, segmentation=[[1, 2, 3]]),
        thing(11, 102, segmentation={'size': [1, 1], 'counts': [7]}),
        thing(12, 105),
    ]
    dataset = coco(content(things, keypoints=NAMES))
    assert len(dataset) == 5
    lines = ' | '.join(dataset.skipped)
    for line in [
        'image 105 (5.jpg): No such file',
        'annotation 2 of image 100 (0.jpg): the box [50, 2, 9, 9] lies outside',
        'annotation 3 of image 100 (0.jpg): the box [40, 2, 20, 9] is cut to the image',
        'annotation 4 of image 100 (0.jpg): the box [4, 2, 0, 9] has no area',
        "annotation 5 of image 100 (0.jpg): the box [4, 2, 'x', 9] is not x, y, width",
        'annotation 6 of image 777: there is no such image',
        'annotation 7 of image 101 (1.jpg): no category 4',
        'annotation 8 of image 101 (1.jpg): the keypoint right_eye lies outside',
        'annotation 9 of image 101 (1.jpg): keypoints that are not 3 times x, y, v',
        'annotation 10 of image 102 (2.jpg): a polygon that is no list',
        'annotation 11 of image 102 (2.jpg): segmentation with runs of 7 pixels',
    ]:
        assert line in lines
    assert len(dataset.skipped) == 11 and lines.count('all.json: ') == 11
    boxes = example(dataset, 100)['boxes']
    assert boxes[:2].tolist() == [[5, 10, 35, 30], [2, 40, 11, 48]]
    assert example(dataset, 101)['keypoints'][0, :, 2].tolist() == [2, 0, 0]
    with pytest.raises(UserError, match=r'all\.json: image 105 .*\(and 10 more\)'):
        coco(content(things, keypoints=NAMES), on_error='fail')


def test_a_picture_of_another_size_is_named_when_it_is_read(coco, tmp_path):
    write(tmp_path / '2.jpg', picture(height=7, width=9))
    dataset = coco(content([thing(1, 100)]))
    list(dataset.eval_batches())
    assert (
        '9 x 7 pixels, but the annotations of image 102 say 48 x 40'
        in (dataset.skipped[0])
    )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'no JSON that can be read'),
        ('[]', r'no COCO file .*expected images, annotations and categories'),
        ('{"images": []}', "KeyError: 'annotations'"),
        (content([], images=0), 'no image or no category'),
        ({**content([]), 'categories': []}, 'no image or no category'),
    ],
)
def test_files_that_are_not_cocos(coco, text, message):
    with pytest.raises(UserError, match=message) as caught:
        coco(text)
    assert '\n' not in str(caught.value)


def test_a_missing_file():
    with pytest.raises(UserError, match=r'no\.json cannot be read: No such file'):
        Coco(annotations='no.json').open('train')


def test_runs_of_a_wrong_length_are_refused():
    with pytest.raises(ValueError, match='runs of 5 pixels, but 6'):
        decode_runs([2, 3], 2, 3)


def test_masks_equal_those_of_pycocotools():
    masks = pytest.importorskip('pycocotools.mask')
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.uniform(size=(37, 23)) < rng.uniform(0, 0.6)
        packed = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
        counts = packed['counts'].decode()
        np.testing.assert_array_equal(decode_runs(counts, 37, 23), mask)


def test_what_pycocotools_reads_is_what_we_read(coco, tmp_path):
    module = pytest.importorskip('pycocotools.coco')
    things = [thing(1, 100, segmentation=TRIANGLE), thing(2, 102, iscrowd=1)]
    dataset = coco(content(things))
    theirs = module.COCO(str(tmp_path / 'all.json'))
    for image in theirs.getImgIds():
        x, y, w, h = (
            np.array([a['bbox'] for a in theirs.loadAnns(theirs.getAnnIds(image))])
            .reshape(-1, 4)
            .T
        )
        found = example(dataset, image)
        objects = found['box_labels'] >= 0
        np.testing.assert_allclose(
            found['boxes'][objects], np.stack([y, x, y + h, x + w], axis=-1)
        )


def without(entry, field):
    return {key: value for key, value in entry.items() if key != field}


def test_entries_that_lack_a_field_are_left_out_and_the_rest_read(coco):
    things = [thing(n, 100 + n) for n in range(6)]
    whole = content(things)
    whole['images'][5] = without(whole['images'][5], 'height')
    whole['images'] += [None, {'id': [1], 'file_name': '0.jpg'}]
    whole['annotations'] += [
        without(thing(7, 100), 'image_id'),
        without(thing(8, 100), 'category_id'),
        thing(9, 100, area='large'),
        thing(10, 100, segmentation=5),
        None,
    ]
    dataset = coco('\ufeff' + json.dumps(whole))
    assert len(dataset) == 5 and dataset.label_counts().tolist() == [5, 0]
    lines = ' | '.join(dataset.skipped)
    for line in [
        "image 105: there is no 'height'",
        "annotation 7: there is no 'image_id'",
        "annotation 8: there is no 'category_id'",
        'annotation 9: could not convert',
        "annotation 10: 'int' object",
        'image None: ',
        'image [1]: ',
    ]:
        assert line in lines
    with pytest.raises(UserError, match='has no usable annotation'):
        coco(content([]))


def test_a_box_is_made_from_runs_where_there_is_none(coco):
    counts = [2 * 40 + 5, 10, 30, 10, 40 * 48 - 40 * 3 - 15]
    runs = without(thing(1, 100, segmentation={'counts': counts}), 'bbox')
    assert example(coco(content([runs])), 100)['boxes'][0].tolist() == [5, 2, 15, 4]


def test_splits_by_any_usual_name_and_paths_of_windows(coco, tmp_path):
    whole = content([thing(1, 100)])
    coco(whole)
    for image in whole['images']:
        image['file_name'] = '.\\' + image['file_name']
    assert len(coco(whole)) == 6
    file = str(tmp_path / 'all.json')
    source = Coco(annotations={'training': file, 'validation': file})
    assert [len(source.open(split)) for split in ('train', 'val', 'test')] == [6, 6, 6]
    with pytest.raises(UserError, match='annotations names no file'):
        Coco(annotations={}).open('train')
