"""Opening data: any prepared TFDS set by name and split, and every refusal."""

import io
import json
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from trainer.data import find_tfds
from trainer.data.dataset import Dataset
from trainer.data.images import Images
from trainer.data.prepare_digits import prepare
from trainer.data.source import Examples
from trainer.errors import TrainingFailed, UserError
from trainer.transforms import CenterCrop, RandomResizedCrop, ResizeShortSide

CLASSES = ('ant', 'bee', 'cat')


class Photos(tfds.core.GeneratorBasedBuilder):
    """Ten coloured pictures of varying size, with a second feature nobody wants."""

    name = 'juniper_photos'
    VERSION = tfds.core.Version('2.1.0')

    def _info(self):
        features = tfds.features.FeaturesDict(
            {
                'picture': tfds.features.Image(shape=(None, None, 3)),
                'kind': tfds.features.ClassLabel(names=CLASSES),
                'note': tfds.features.Text(),
            }
        )
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {
            'train': self._generate_examples(10),
            'extra': self._generate_examples(4),
        }

    def _generate_examples(self, count):
        for i in range(count):
            image = np.full((10 + i, 12, 3), i, np.uint8)
            encoded = io.BytesIO(cv2.imencode('.png', image)[1].tobytes())
            yield i, {'picture': encoded, 'kind': i % 3, 'note': 'none'}


class Sounds(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A prepared set that holds no picture."""

    name = 'juniper_sounds'
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
        features = tfds.features.FeaturesDict({'pitch': np.int64})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {'train': [(0, {'pitch': 440})]}

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture(scope='session')
def photos(tmp_path_factory):
    """A data_dir in which juniper_photos is prepared."""
    root = tmp_path_factory.mktemp('tfds')
    Photos(data_dir=root, file_format='array_record').download_and_prepare()
    return str(root)


@pytest.mark.parametrize(
    ('split', 'count'),
    [('train[:90%]', 1293), ('train[10:20]', 10), ('train[10:20]+test', 370)],
)
def test_split_expressions(split, count):
    assert len(Images(split=split, batch=4).open()) == count


def test_any_prepared_set_is_found_by_name_version_or_folder(photos):
    transforms = [ResizeShortSide(size=8), CenterCrop(size=8)]
    for name, where in [
        ('juniper_photos', photos),
        ('juniper_photos:2.1.0', photos),
        ('whatever', f'{photos}/juniper_photos/2.1.0'),
    ]:
        images = Images(
            name=name, data_dir=where, split='train', batch=4, transforms=transforms
        )
        dataset = images.open()
        assert dataset.class_names == CLASSES
        assert dataset.image_shape == (8, 8, 3)
        assert dataset.label_counts().tolist() == [4, 3, 3]


@pytest.mark.parametrize('cache', ['auto', None, 'host'])
def test_varying_sizes_name_the_transforms_to_add(photos, cache):
    images = Images(
        name='juniper_photos', data_dir=photos, split='train', batch=4, cache=cache
    )
    with pytest.raises(UserError, match=r'example 1 .*ResizeShortSide.*CenterCrop'):
        images.open()


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'name': 'digitz'}, r"unknown data set 'digitz'; did you mean digits"),
        ({'name': 'cifra10'}, 'did you mean cifar10'),
        (
            {'name': 'digits:7.0.0'},
            r"no version or config 'digits:7.0.0'; found: 1.0.0",
        ),
        ({'name': 'cifar10', 'data_dir': 'nowhere'}, 'pip install tensorflow-cpu'),
        ({'split': 'valid'}, "no split 'valid'; its splits are train, test"),
        ({'split': 'train[:9'}, 'its splits are train, test'),
        ({'split': 'train[5:5]'}, 'holds no example; train has 1437'),
        ({'mean': (0.1, 0.2, 0.3)}, 'mean has 3 values.* 1 channel'),
        ({'transforms': [CenterCrop(size=9)]}, 'put @ResizeShortSide'),
    ],
)
def test_mistakes_are_one_line(fields, message, monkeypatch):
    monkeypatch.setattr(find_tfds, 'tensorflow_is_installed', lambda: False)
    with pytest.raises(UserError, match=message) as caught:
        Images(**{'split': 'train', 'batch': 8, **fields}).open()
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_batch_larger_than_the_data_names_both():
    dataset = Images(split='test', batch=400).open()
    for use in (lambda: dataset.steps_per_epoch, lambda: dataset.train_batches(0)):
        with pytest.raises(UserError, match=r'batch is 400, .*360 examples'):
            use()


def test_references_in_transforms_are_refused():
    with pytest.raises(UserError, match=r'evaluate it: @CenterCrop\(\)'):
        Images(split='train', batch=8, transforms=[CenterCrop])


def test_a_set_without_pictures_lists_its_features(tmp_path):
    Sounds(data_dir=tmp_path, file_format='array_record').download_and_prepare()
    images = Images(
        name='juniper_sounds', data_dir=str(tmp_path), split='train', batch=1
    )
    with pytest.raises(UserError, match=r'one Image and one ClassLabel .*pitch'):
        images.open()


def test_an_unprepared_set_is_prepared_where_tensorflow_is(tmp_path, monkeypatch):
    monkeypatch.setattr(find_tfds, 'tensorflow_is_installed', lambda: True)
    crop = [RandomResizedCrop(size=8)]
    images = Images(
        name='juniper_photos',
        data_dir=str(tmp_path),
        split='extra',
        batch=4,
        transforms=crop,
    )
    assert len(images.open()) == 4
    assert (tmp_path / 'juniper_photos/2.1.0/dataset_info.json').exists()


def test_fingerprint_follows_the_data_and_not_the_place(tmp_path, photos):
    prepare(tmp_path)
    here = Images(split='train', batch=8).open().fingerprint
    there = Images(split='train', batch=32, data_dir=str(tmp_path)).open().fingerprint
    assert here == there
    assert here != Images(split='train[:90%]', batch=8).open().fingerprint
    info = tmp_path / 'digits/1.0.0/label.labels.txt'
    info.write_text('zero\n' + info.read_text()[2:])
    renamed = Images(split='train', batch=8, data_dir=str(tmp_path)).open()
    assert renamed.class_names[0] == 'zero' and renamed.fingerprint != here


def test_a_broken_record_names_its_file_and_place(tmp_path):
    prepare(tmp_path)
    shard = next(tmp_path.rglob('*train.array_record*'))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    shard.write_bytes(data)
    images = Images(split='train[100:]', batch=8, data_dir=str(tmp_path), cache=None)
    with pytest.raises(
        TrainingFailed, match=r'example \d+ .*train.array_record.*record'
    ):
        for _ in images.open().eval_batches():
            pass


class Invented(Examples):
    """A source made up on the spot."""

    name, class_names, fingerprint = 'invented', ('no', 'yes'), 'ab'
    image_shape = (2, 2, 1)

    def __init__(self, labels):
        self._labels = labels

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        return {'image': np.zeros((2, 2, 1), np.uint8), 'label': self._labels[index]}

    def column(self, field):
        return np.asarray(self._labels)


@pytest.mark.parametrize('label', [-1, 2, 1.5])
@pytest.mark.parametrize('cache', [None, 'host'])
def test_a_label_that_is_no_class_names_its_example(label, cache):
    images = Images(split='train', batch=2, cache=cache)
    dataset = Dataset(images, Invented([0, 1, 0, label]))
    for use in (lambda: list(dataset.eval_batches()), dataset.label_counts):
        with pytest.raises(UserError, match=rf'example 3 has the label {label}'):
            use()


def test_sources_travel_to_workers():
    source = Images(split='test', batch=8).open().source
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[5]['image'], source[5]['image'])


def test_describing_data_imports_neither_jax_nor_tfds_and_reading_no_tensorflow():
    code = """
import json, sys
from trainer.data.images import Images
early = [m for m in ('jax', 'grain', 'tensorflow_datasets') if m in sys.modules]
next(Images(split='train', batch=8, cache=None).open().train_batches(0))
print(json.dumps([early, 'tensorflow' in sys.modules]))
"""
    run = [sys.executable, '-W', 'error', '-c', code]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == [[], False]
    assert done.stderr == ''
