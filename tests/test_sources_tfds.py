"""TFDS data sets of every kind: boxes, masks, several labels and numbers."""

import io
import pickle

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from trainer.data.images import Images
from trainer.data.sources.tfds import Tfds
from trainer.errors import UserError

NAMES = ['ant', 'bee', 'cat']


def png(image):
    return io.BytesIO(cv2.imencode('.png', image)[1].tobytes())


class Scenes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Everything at once, with nothing supervised."""

    name = 'juniper_scenes'
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
        f = tfds.features
        thing = {
            'bbox': f.BBoxFeature(),
            'label': f.ClassLabel(names=NAMES),
            'is_crowd': np.bool_,
        }
        features = {
            'image': f.Image(shape=(None, None, 3)),
            'pixel_mask': f.Image(shape=(None, None, 1)),
            'kinds': f.Sequence(f.ClassLabel(names=NAMES)),
            'age': np.float32,
            'objects': f.Sequence(thing),
        }
        return tfds.core.DatasetInfo(builder=self, features=f.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {'train': self._generate_examples(4), 'test': self._generate_examples(2)}

    def _generate_examples(self, count):
        box = tfds.features.BBox(0.1, 0.25, 0.5, 0.75)
        for i in range(count):
            thing = {'bbox': box, 'label': i % 3, 'is_crowd': i == 2}
            yield (
                i,
                {
                    'image': png(np.full((10, 12, 3), i, np.uint8)),
                    'pixel_mask': png(np.full((10, 12, 1), i % 3 + 1, np.uint8)),
                    'kinds': [0, 2][: i % 3],
                    'age': i / 2,
                    'objects': [thing] * i,
                },
            )


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Opens a split with some label fields."""
    root = tmp_path_factory.mktemp('tfds')
    builder = Scenes(data_dir=root, file_format='array_record')
    builder.download_and_prepare()

    def opened(split='train', *fields):
        source = Tfds(data_dir=str(builder.data_path), fields=fields or None)
        return Images(source=source, split=split, batch=2).open()

    return opened


def by_pixel(dataset):
    """Examples in the order in which they were written."""
    return sorted(dataset.source, key=lambda example: example['image'].max())


def test_boxes_are_pixels_and_come_first(scenes):
    dataset = scenes()
    assert dataset.class_names == tuple(NAMES)
    none, one, *_, three = by_pixel(dataset)
    assert none['box_labels'].tolist() == [-1, -1, -1]
    assert one['boxes'].tolist() == [[1, 3, 5, 9], [0] * 4, [0] * 4]
    assert one['areas'].tolist() == [24, 0, 0]
    assert three['box_labels'].tolist() == [0, 0, 0]
    assert dataset.label_counts().tolist() == [3, 1, 2]
    assert scenes('test').source[0]['boxes'].shape == (3, 4)


def test_several_labels_numbers_and_pixels(scenes):
    labels = by_pixel(scenes('train', 'labels'))
    assert [e['labels'].tolist() for e in labels[:3]] == [
        [0, 0, 0],
        [1, 0, 0],
        [1, 0, 1],
    ]
    ages = scenes('train', 'target')
    assert ages.target_names == ('age',)
    assert sorted(ages.column('target').ravel().tolist()) == [0, 0.5, 1, 1.5]
    both = scenes('test', 'segmentation', 'boxes')
    assert both.segmentation_names == ('1', '2', '3')
    assert [set(np.unique(e['segmentation'])) for e in by_pixel(both)] == [{0}, {1}]
    assert set(both[0]) >= {'boxes', 'segmentation'}


def test_it_travels_to_workers(scenes):
    source = scenes('train', 'segmentation', 'boxes').source
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[1]['boxes'], source[1]['boxes'])


def test_a_field_that_is_not_there_lists_what_is(scenes):
    with pytest.raises(UserError, match=r'label fields label .*kinds \(Sequence\)'):
        scenes('train', 'label')
