"""NumPy files: names of arrays, kinds of labels, and everything that does not fit."""

import numpy as np
import pytest

from trainer.data.images import Images
from trainer.data.sources.arrays import Arrays
from trainer.errors import UserError

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
CLASSES = np.arange(20) % 3


@pytest.fixture
def saved(tmp_path):
    """Saves arrays and opens a split of them."""

    def opened(split='all', on_error='skip', fields=(), **arrays):
        path = tmp_path / 'it.npz'
        np.savez(path, **arrays)
        source = Arrays(file=str(path), **dict(fields))
        images = Images(source=source, split=split, batch=2, on_error=on_error)
        return images.open()

    return opened


def test_images_and_labels(saved):
    dataset = saved(images=PICTURES, labels=CLASSES)
    assert dataset.image_shape == (6, 5, 3)
    assert dataset.class_names == ('0', '1', '2')
    assert dataset.label_counts().tolist() == [7, 7, 6]
    batch = next(dataset.train_batches(0))
    assert batch['label'].dtype == np.int32
    assert len(saved('test', images=PICTURES, labels=CLASSES)) == 3


@pytest.mark.parametrize(
    'names',
    [
        ('x_train', 'y_train', 'x_test', 'y_test'),
        ('train_images', 'train_labels', 'test_images', 'test_labels'),
    ],
)
def test_splits_in_the_file_are_kept(saved, names):
    arrays = PICTURES[:14], CLASSES[:14, None], PICTURES[14:], CLASSES[14:, None]
    named = dict(zip(names, arrays, strict=True))
    test = saved('test', **named)
    np.testing.assert_array_equal(test[2]['image'], PICTURES[16])
    assert test[2]['label'] == CLASSES[16]
    assert len(saved('train[:50%]', **named)) == 7


def test_grey_floats_and_names(saved):
    grey = RNG.uniform(size=(20, 4, 4))
    dataset = saved(x=grey, y=CLASSES, class_names=np.array(list('abcd')))
    assert dataset.image_shape == (4, 4, 1)
    assert dataset[0]['image'].dtype == np.float32
    assert dataset.class_names == ('a', 'b', 'c', 'd')


def test_classes_with_gaps_are_counted_from_zero(saved):
    dataset = saved(x=PICTURES, y=np.array([7, -2, 100, 7] * 5))
    assert dataset.class_names == ('-2', '7', '100')
    assert dataset.label_counts().tolist() == [5, 10, 5]


def test_feature_vectors_and_targets(saved):
    x = RNG.normal(size=(20, 7))
    dataset = saved(x=x, y=x[:, 0] * 2)
    assert dataset.image_shape == (7,) and dataset.target_names == ('0',)
    assert dataset.column('target').shape == (20, 1)
    batch = next(dataset.eval_batches())
    assert batch['image'].dtype == batch['target'].dtype == np.float32
    assert batch['image'].shape == (2, 7) and batch['target'].shape == (2, 1)
    assert saved(x=x[:, 0], y=x).image_shape == (1,)


def test_several_labels(saved):
    many = (RNG.uniform(size=(20, 4)) < 0.5).astype(int)
    dataset = saved(x=PICTURES, y=many)
    assert dataset.label_counts().tolist() == many.sum(0).tolist()
    assert saved(x=PICTURES, y=many, fields={'kind': 'target'}).class_names == ()


def test_two_npy_files(tmp_path):
    np.save(tmp_path / 'x.npy', PICTURES)
    np.save(tmp_path / 'y.npy', CLASSES)
    source = Arrays(file=str(tmp_path / 'x.npy'), labels=str(tmp_path / 'y.npy'))
    assert len(source.open('all')) == 20


def test_rows_that_are_not_finite_are_named(saved):
    x = RNG.normal(size=(20, 2))
    x[3, 1], y = np.nan, x[:, 0].copy()
    y[5] = np.inf
    dataset = saved(x=x, y=y)
    assert len(dataset) == 18
    assert [line.split(', ')[1] for line in dataset.skipped] == [
        'row 3: the image is not finite',
        'row 5: the label is not finite',
    ]
    with pytest.raises(UserError, match='row 3'):
        saved(x=x, y=y, on_error='fail')


def test_the_fingerprint_follows_the_numbers(saved):
    first = saved(x=PICTURES, y=CLASSES).fingerprint
    assert first == saved(images=PICTURES, labels=CLASSES).fingerprint
    assert first != saved(x=PICTURES[::-1], y=CLASSES).fingerprint


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        ({'x': PICTURES, 'y': CLASSES[:5]}, '20 images and 5 labels'),
        ({'x_train': PICTURES, 'y_train': CLASSES[:5]}, '20 images of train and 5'),
        ({'this': PICTURES, 'that': CLASSES}, 'has the arrays this, that; expected'),
        ({'x': PICTURES[..., :2], 'y': CLASSES}, 'images of 2 channels'),
        ({'x': PICTURES.astype(int), 'y': CLASSES}, 'images of int64; expected uint8'),
        ({'x': PICTURES.astype('U3'), 'y': CLASSES}, 'images of type <U3'),
        (
            {'x': PICTURES, 'y': np.array(['a', 'b'] * 20).reshape(20, 2)},
            'which are no target',
        ),
        ({'x': PICTURES[:0], 'y': CLASSES[:0]}, 'has 0 images and 0 labels'),
        ({'x': PICTURES * 1.0, 'y': CLASSES}, r'floats from 0 to 255; expected \[0, 1'),
        ({'x': np.moveaxis(PICTURES, 3, 1), 'y': CLASSES}, 'put the channels last'),
        ({'x': PICTURES[:, :0], 'y': CLASSES}, r'shape \(20, 0, 5, 3\)'),
        ({'x': CLASSES * np.nan, 'y': CLASSES / 7}, 'no row of finite numbers'),
        ({'x': PICTURES, 'y': CLASSES, 'class_names': 'a,b'}, r'1 class_names \(a,b\)'),
        (
            {'x': PICTURES, 'y': CLASSES, 'class_names': ['a', 'b']},
            'from 0 to 2, but 2',
        ),
        (
            {'x': PICTURES, 'y': CLASSES, 'x_train': PICTURES, 'y_train': CLASSES},
            'a split called train and others of none',
        ),
        ({'x': PICTURES, 'y': np.array(1)}, r'y is of type int64 and shape \(\)'),
        ({'x': PICTURES, 'y': CLASSES.astype('M8[D]')}, 'y is of type datetime64'),
    ],
)
def test_arrays_that_do_not_fit(saved, arrays, message):
    with pytest.raises(UserError, match=message) as caught:
        saved(**arrays)
    assert '\n' not in str(caught.value)


def test_names_and_labels_may_be_bytes(saved):
    words = np.array([b'no', b'yes'])
    assert saved(x=PICTURES, y=words[CLASSES % 2]).class_names == ('no', 'yes')
    named = saved(x=PICTURES, y=CLASSES % 2, class_names=words)
    assert named.class_names == ('no', 'yes')


def test_arrays_of_no_split_beside_a_test_split_are_for_training(saved):
    arrays = {
        'x': PICTURES,
        'y': CLASSES,
        'x_test': PICTURES[:5],
        'y_test': CLASSES[:5],
    }
    assert [len(saved(split, **arrays)) for split in ('train', 'test')] == [20, 5]


def test_nothing_is_unpickled(tmp_path):
    np.savez(tmp_path / 'it.npz', x=np.array([object()]), y=CLASSES)
    with pytest.raises(UserError, match=r'no \.npz or \.npy file of plain arrays'):
        Arrays(file=str(tmp_path / 'it.npz')).open('all')
    (tmp_path / 'it.npy').write_bytes(b'no array at all')
    with pytest.raises(UserError, match='of plain arrays'):
        Arrays(file=str(tmp_path / 'it.npy')).open('all')
    with pytest.raises(UserError, match='cannot be read: No such file'):
        Arrays(file=str(tmp_path / 'no.npz')).open('all')
