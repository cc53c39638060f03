"""Examples that cannot be read: replaced, counted, named; the same for any reader."""

import numpy as np
import pytest

from tests.picture_folders import write_classes, write_zoo
from trainer.data.images import Images
from trainer.errors import TrainingFailed, UserError


def opened(folder, split='train', **fields):
    images = Images(**{'folder': str(folder), 'split': split, 'batch': 4, **fields})
    return images.open()


def paths(dataset):
    return [dataset.source.identify(index) for index in range(len(dataset))]


def test_the_zoo_trains_and_everything_odd_is_named(tmp_path, capsys):
    write_zoo(tmp_path)
    dataset = opened(tmp_path, cache=None)
    assert dataset.class_names == ('ant', 'bee', 'cat')
    assert 'class dog is dropped: no picture in it' in capsys.readouterr().err
    assert dataset.label_counts().tolist() == [9, 9, 13]
    seen = list(dataset.eval_batches())
    mask = np.concatenate([batch['mask'] for batch in seen])
    assert mask.sum() == 29
    assert sorted(line.split(': ')[1] for line in dataset.skipped) == [
        'HTML or XML, no picture',
        next(line.split(': ')[1] for line in dataset.skipped if 'damaged' in line),
    ]
    said = capsys.readouterr().err
    assert 'train/ant/broken.jpg' in said and 'train/bee/cut.JPG' in said
    assert len(said.splitlines()) == 2


def test_what_is_skipped_is_the_same_for_any_cache_and_workers(tmp_path):
    write_zoo(tmp_path)
    runs = []
    for fields in ({'cache': None}, {'cache': 'host'}, {'cache': None, 'workers': 1}):
        dataset = opened(tmp_path, size=8, **fields)
        batches = dataset.train_batches(0)
        runs.append([next(batches) for _ in range(10)])
        batches.close()
        assert len(dataset.skipped) == 2
        evaluated = np.concatenate([b['mask'] for b in dataset.eval_batches()])
        assert evaluated.sum() == 29
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            assert all(np.array_equal(a[key], b[key]) for key in a)
    shown = np.concatenate([batch['index'] for batch in runs[0]])
    names = paths(opened(tmp_path))
    assert not any('broken' in names[i] or 'cut' in names[i] for i in shown)


def test_on_error_fail_ends_the_run_with_the_name(tmp_path):
    write_zoo(tmp_path)
    dataset = opened(tmp_path, on_error='fail', cache=None)
    with pytest.raises(TrainingFailed, match=r"(broken|cut).*on_error = 'skip'"):
        list(dataset.eval_batches())


def test_a_file_that_vanishes_under_the_run_is_replaced(tmp_path):
    write_classes(tmp_path, 10)
    dataset = opened(tmp_path, cache=None)
    gone = tmp_path / paths(dataset)[5]
    gone.unlink()
    batches = list(dataset.eval_batches())
    assert sum(batch['mask'].sum() for batch in batches) == len(dataset) - 1
    assert dataset.skipped == (f'{gone}: No such file or directory',)


def test_more_than_ten_skips_are_counted_not_listed(tmp_path, capsys):
    write_classes(tmp_path, 20)
    for number in range(14):
        (tmp_path / f'ant/{number}.jpg').write_bytes(b'')
    dataset = opened(tmp_path, 'all', cache=None)
    list(dataset.eval_batches())
    assert len(dataset.skipped) == 14
    assert len(capsys.readouterr().err.splitlines()) == 11


def test_a_set_of_broken_pictures_is_one_line(tmp_path):
    for name in 'ab':
        (tmp_path / name).mkdir()
        (tmp_path / name / '1.jpg').write_bytes(b'')
    with pytest.raises(UserError, match='2 examples in a row cannot be read'):
        opened(tmp_path, 'all')
