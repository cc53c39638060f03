"""The embedded digits: what they promise, and that they are scikit-learn's."""

import numpy as np
import pytest

from trainer.data.find_tfds import EMBEDDED
from trainer.data.images import Images
from trainer.data.prepare_digits import prepare


def test_digits_have_the_promised_splits_and_facts():
    train, test = (Images(split=s, batch=8).open() for s in ('train', 'test'))
    assert (len(train), len(test)) == (1437, 360)
    assert train.image_shape == (8, 8, 1)
    assert train.class_names == tuple('0123456789')
    assert train.num_classes == 10
    assert train.steps_per_epoch == 179
    example = train[3]
    assert example['image'].dtype == np.uint8 and example['image'].max() == 255
    assert example['label'] in range(10)


def test_digits_are_stratified_down_to_the_validation_part():
    for split in ('train[:90%]', 'train[90%:]', 'test'):
        counts = Images(split=split, batch=8).open().label_counts()
        assert counts.max() - counts.min() <= 12 * counts.sum() / 1437


def test_digits_can_be_made_again_from_scikit_learn(tmp_path):
    pytest.importorskip('sklearn')
    prepare(tmp_path)
    for name in ('dataset_info.json', 'features.json', 'label.labels.txt'):
        made, shipped = (d / 'digits/1.0.0' / name for d in (tmp_path, EMBEDDED))
        assert made.read_bytes() == shipped.read_bytes()
    for split in ('train', 'test'):
        ours = Images(split=split, batch=8).open()
        again = Images(split=split, batch=8, data_dir=str(tmp_path)).open()
        assert again.fingerprint == ours.fingerprint
        assert len(again) == len(ours)
        for index in range(len(ours)):
            made, shipped = again[index], ours[index]
            assert made['label'] == shipped['label']
            np.testing.assert_array_equal(made['image'], shipped['image'])


def test_digits_are_those_of_scikit_learn():
    digits = pytest.importorskip('sklearn.datasets').load_digits()
    datasets = [Images(split=s, batch=8).open() for s in ('train', 'test')]
    ours = sorted(
        (e['image'].tobytes(), e['label'])
        for d in datasets
        for e in map(d.__getitem__, range(len(d)))
    )
    images = np.round(digits.images * 255 / 16).astype(np.uint8)
    theirs = sorted(
        (i.tobytes(), n) for i, n in zip(images, digits.target, strict=True)
    )
    assert ours == theirs
