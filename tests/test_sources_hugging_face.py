"""Data sets of the `datasets` library, where it is installed; no network."""

import importlib.util

import cv2
import pytest

from tests.picture_folders import picture
from trainer.data.images import Images
from trainer.data.sources.hugging_face import HuggingFace
from trainer.errors import UserError

installed = importlib.util.find_spec('datasets') is not None
needs_datasets = pytest.mark.skipif(not installed, reason='needs datasets')


def save(path, labels, feature=None, bad=()):
    """A parquet file of ten small pictures."""
    import datasets

    images = [
        b'' if i in bad else cv2.imencode('.png', picture(seed=i))[1].tobytes()
        for i in range(len(labels))
    ]
    columns = {'img': [{'bytes': b, 'path': None} for b in images], 'label': labels}
    data = datasets.Dataset.from_dict(columns)
    data = data.cast_column('img', datasets.Image(decode=False))
    if feature:
        data = data.cast_column('label', feature)
    data.cast_column('img', datasets.Image()).to_parquet(path)
    return str(path)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    if installed:
        import datasets

        cache = str(tmp_path / 'cache')
        monkeypatch.setattr(datasets.config, 'HF_DATASETS_CACHE', cache)


def opened(split='all', **fields):
    return Images(source=HuggingFace(**fields), split=split, batch=2).open()


@needs_datasets
def test_a_parquet_file_is_split_by_class(tmp_path):
    import datasets

    feature = datasets.ClassLabel(names=['no', 'yes'])
    path = save(tmp_path / 'a.parquet', [0, 1] * 5, feature, bad=[3])
    dataset = opened(path=path)
    assert dataset.class_names == ('no', 'yes')
    assert dataset.image_shape == (64, 64, 3)
    assert dataset.label_counts().tolist() == [5, 5]
    assert opened('test', path=path).label_counts().tolist() == [1, 1]
    list(dataset.eval_batches())
    assert 'row 3: an empty file' in dataset.skipped[0]
    train = opened('train', path=path)
    assert train.fingerprint == opened('train', path=path).fingerprint
    batch = next(train.train_batches(0))
    assert batch['image'].shape == (2, 64, 64, 3)


@needs_datasets
def test_splits_text_classes_and_numbers(tmp_path):
    files = {
        'train': save(tmp_path / 'a.parquet', ['x', 'y', 'x']),
        'validation': save(tmp_path / 'b.parquet', ['y', 'x']),
    }
    fields = {'path': 'parquet', 'data_files': files}
    assert [len(opened(split, **fields)) for split in ('train', 'val')] == [3, 2]
    assert opened(**fields).class_names == ('x', 'y')
    path = save(tmp_path / 'c.parquet', [0.5, 1.5, 2.5])
    dataset = opened(path=path)
    assert dataset.target_names == ('label',)
    assert sorted(dataset.column('target').tolist()) == [[0.5], [1.5], [2.5]]


@needs_datasets
def test_mistakes_are_one_line(tmp_path):
    with pytest.raises(UserError, match='cannot be loaded by datasets'):
        opened(path=str(tmp_path / 'none'))
    path = save(tmp_path / 'a.parquet', [0, 1])
    with pytest.raises(UserError, match=r'it has img \(Image\), label \(Value\)'):
        opened(path=path, label='kind')


@pytest.mark.skipif(installed, reason='datasets is installed')
def test_without_the_library_it_says_what_to_install():
    with pytest.raises(UserError, match='pip install datasets'):
        opened(path='anything')


@needs_datasets
def test_rows_without_a_label_or_a_picture_are_left_out(tmp_path):
    import datasets

    feature = datasets.ClassLabel(names=['no', 'yes'])
    train = save(tmp_path / 'a.parquet', [0, -1, 1, None], feature)
    test = save(tmp_path / 'b.parquet', [-1, -1], feature)
    fields = {'path': 'parquet', 'data_files': {'train': train, 'test': test}}
    dataset = opened('train', **fields)
    assert dataset.label_counts().tolist() == [1, 1]
    assert dataset.skipped == (
        'parquet, row 1: label is -1; expected a label',
        'parquet, row 3: label is None; expected a label',
        'parquet: the split test has no labels',
    )
    with pytest.raises(UserError, match="split 'test' holds no example"):
        opened('test', **fields)


@needs_datasets
def test_lists_are_numbers_or_refused(tmp_path):
    path = save(tmp_path / 'a.parquet', [[0.5, 1.0], [2.0, 3.0]])
    assert opened(path=path).target_names == ('label_0', 'label_1')
    path = save(tmp_path / 'b.parquet', [[1], [0, 1]])
    with pytest.raises(UserError, match='neither one class nor numbers') as caught:
        opened(path=path)
    assert '\n' not in str(caught.value)
    path = save(tmp_path / 'c.parquet', [0, 1])
    with pytest.raises(UserError, match='column label holds no pictures'):
        opened(path=path, image='label', label='label')


@needs_datasets
def test_other_pictures_are_other_data(tmp_path):
    first = save(tmp_path / 'a.parquet', [0, 1] * 3)
    second = save(tmp_path / 'b.parquet', [0, 1] * 3, bad=[2])
    assert opened(path=first).fingerprint != opened(path=second).fingerprint
