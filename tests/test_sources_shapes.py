"""Shapes and Function: labels that are exact, and the same for ever."""

import hashlib

import numpy as np
import pytest

from trainer.data.images import Images
from trainer.data.polygons import bounding_box, fill
from trainer.data.scenes import OUTLINES
from trainer.data.sources.function import Function
from trainer.data.sources.shapes import Shapes
from trainer.errors import UserError
from trainer.experiment import load

KINDS = [
    'label',
    'labels',
    'target',
    'segmentation',
    'boxes',
    'keypoints',
    'poses',
    'everything',
]


def opened(split='train', source=None, **fields):
    source = source or Shapes(**{'train': 60, 'test': 20, **fields})
    return Images(source=source, split=split, batch=4).open()


@pytest.mark.parametrize('kind', KINDS)
def test_examples_are_what_the_contract_says(kind):
    dataset = opened(kind=kind, size=32)
    batch = next(dataset.train_batches(0))
    objects = {
        'boxes': ((4, 4, 4), 'float32'),
        'box_labels': ((4, 4), 'int32'),
        'areas': ((4, 4), 'float32'),
        'crowd': ((4, 4), 'bool'),
    }
    single = {key: ((4, 1, *s[2:]), d) for key, (s, d) in objects.items()}
    pixels = {'segmentation': ((4, 32, 32), 'uint8')}
    fields = {
        'label': {'label': ((4,), 'int32')},
        'labels': {'labels': ((4, 3), 'float32')},
        'target': {'target': ((4, 3), 'float32')},
        'segmentation': pixels,
        'boxes': objects,
        'keypoints': single | {'keypoints': ((4, 1, 4, 3), 'float32')},
        'poses': objects | {'keypoints': ((4, 4, 4, 3), 'float32')},
        'everything': objects | pixels | {'keypoints': ((4, 4, 4, 3), 'float32')},
    }[kind]
    assert {key: (v.shape, v.dtype.name) for key, v in batch.items()} == fields | {
        'image': ((4, 32, 32, 3), 'uint8'),
        'index': ((4,), 'int32'),
        'mask': ((4,), 'bool'),
    }


@pytest.mark.parametrize('kind', KINDS)
def test_a_column_is_the_field_of_all_examples(kind):
    dataset = opened(kind=kind, size=32, train=9)
    for field in set(dataset[0]) - {'image', 'index'}:
        column = dataset.column(field)
        for index in range(len(dataset)):
            np.testing.assert_array_equal(column[index], dataset[index][field])


def test_pixels_boxes_and_areas_agree():
    source = opened(kind='everything', num_classes=5).source
    for index in range(20):
        example = source[index]
        segmentation = example['segmentation']
        count = 0
        for box, label, area, keypoints in zip(
            *(example[k] for k in ('boxes', 'box_labels', 'areas', 'keypoints')),
            strict=True,
        ):
            if label < 0:
                assert not box.any() and not area and not keypoints.any()
                continue
            y0, x0, y1, x1 = box.astype(int)
            inside = segmentation[y0:y1, x0:x1] == label + 1
            assert inside.sum() == area > 20
            assert tuple(bounding_box(inside)) == (0, 0, y1 - y0, x1 - x0)
            count += inside.sum()
            assert keypoints[0].tolist() == [x0, y0, 2]
            assert keypoints[2].tolist() == [x1, y1, 2]
        assert count == (segmentation > 0).sum()
        brightness = example['image'].mean(-1)
        assert brightness[segmentation > 0].min() > brightness[segmentation == 0].max()


def test_pictures_differ_by_index_split_and_seed_and_by_nothing_else():
    first = opened(kind='boxes')
    again = opened(kind='boxes', train=100)
    np.testing.assert_array_equal(first[7]['image'], again[7]['image'])
    others = [
        first[8],
        opened('test', kind='boxes')[7],
        opened(kind='boxes', seed=1)[7],
    ]
    for other in others:
        assert (other['image'] != first[7]['image']).any()
    part = opened('train[50%:]', kind='boxes')
    np.testing.assert_array_equal(part[0]['image'], first[30]['image'])


def test_the_corners_of_poses_lie_in_their_boxes_and_objects_apart():
    source = opened(kind='poses').source
    counts = set()
    for index in range(40):
        example = source[index]
        there = example['box_labels'] == 0
        counts.add(int(there.sum()))
        points, boxes = example['keypoints'][there], example['boxes'][there]
        assert (points[..., 2] == 2).all()
        x, y = points[..., 0], points[..., 1]
        assert (x[:, 0] < x[:, 1]).all() and (x[:, 3] < x[:, 2]).all()
        assert (y[:, 0] < y[:, 3]).all() and (y[:, 1] < y[:, 2]).all()
        y0, x0, y1, x1 = boxes.T[..., None]
        near = 1.0  # a box holds the pixels whose middles lie inside of the corners
        assert ((x0 - near <= x) & (x <= x1 + near)).all()
        assert ((y0 - near <= y) & (y <= y1 + near)).all()
        assert not example['keypoints'][~there].any()
    assert counts == {1, 2, 3, 4}


def test_pictures_are_the_same_on_every_machine_and_for_ever():
    source = opened(kind='everything').source
    pixels = b''.join(source[index]['segmentation'].tobytes() for index in range(10))
    images = b''.join(source[index]['image'].tobytes() for index in range(10))
    assert hashlib.sha256(pixels).hexdigest()[:16] == SEGMENTATIONS
    assert hashlib.sha256(images).hexdigest()[:16] == IMAGES


SEGMENTATIONS = '38dc48a1fa2bd8ec'
IMAGES = 'e33d2af6aaa3f086'


def test_classes_are_spread_evenly_or_as_asked():
    for split in ('train', 'train[:50%]', 'test'):
        counts = opened(split).label_counts()
        assert counts.max() - counts.min() <= 1
    rare = opened(frequencies=(50, 1), num_classes=2, train=510)
    assert rare.label_counts().tolist() == [500, 10]
    with pytest.raises(UserError, match=r'frequencies has 2 numbers, but .* is 3'):
        opened(frequencies=(1, 2))


def test_a_grey_set():
    assert opened(channels=1).image_shape == (64, 64, 1)


def test_a_split_that_does_not_exist():
    with pytest.raises(UserError, match="no split 'val'; its splits are train, test"):
        opened('val')


def test_outlines_fill_what_they_should():
    assert len(OUTLINES) == 5
    square = np.array([(1, 2), (1, 5), (4, 5), (4, 2)], float)
    expected = np.zeros((6, 7), bool)
    expected[1:4, 2:5] = True
    np.testing.assert_array_equal(fill(square, 6, 7), expected)
    np.testing.assert_array_equal(fill(square - 2, 6, 7)[:2, :3], expected[2:4, 2:5])


@pytest.mark.parametrize('formula', ['sine', 'cubic', 'step'])
def test_a_function_gives_numbers(formula):
    dataset = opened(source=Function(formula=formula, train=50, test=30))
    assert dataset.image_shape == (1,) and dataset.target_names == ('y',)
    batch = next(dataset.eval_batches())
    assert batch['image'].shape == batch['target'].shape == (4, 1)
    assert batch['image'].dtype == batch['target'].dtype == np.float32
    if formula == 'cubic':
        x = batch['image'].astype(float)
        np.testing.assert_allclose(batch['target'], 4 * x**3 - 3 * x, atol=1e-5)


def test_noise_is_added_to_training_targets_alone():
    def difference(split):
        noisy = opened(split, source=Function(noise=0.3)).column('target')
        return np.abs(noisy - opened(split, source=Function()).column('target')).mean()

    assert difference('train') > 0.1 and difference('test') == 0


def test_one_line_of_gin_swaps_the_source():
    bindings = [
        'Images.source = @Shapes()',
        'Shapes.kind = "boxes"',
        'Shapes.size = 32',
    ]
    dataset = load(['configs/resnet18.gin'], bindings).eval_data.open()
    assert dataset.image_shape == (32, 32, 3) and len(dataset) == 200
