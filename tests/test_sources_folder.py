"""Folders of pictures: what they mean, how they are split, and what is left out."""

import json
import os
import shutil

import numpy as np
import pytest

from tests.picture_folders import COLOURS, picture, write, write_classes
from trainer.data.images import Images
from trainer.data.listing import list_files
from trainer.data.pictures import SUFFIXES
from trainer.data.sources.image_folder import ImageFolder
from trainer.errors import UserError
from trainer.experiment import load
from trainer.train import train


def opened(folder, split='train', **fields):
    images = Images(**{'folder': str(folder), 'split': split, 'batch': 4, **fields})
    return images.open()


def paths(dataset):
    return [dataset.source.identify(index) for index in range(len(dataset))]


def test_a_folder_beats_source_and_name_and_trains_as_it_is(tmp_path):
    write_classes(tmp_path, 10)
    dataset = opened(tmp_path, 'train[:90%]')
    assert dataset.class_names == ('ant', 'bee', 'cat')
    assert dataset.image_shape == (64, 64, 3)
    assert opened(tmp_path, size=16).image_shape == (16, 16, 3)
    example = dataset[0]
    assert example['image'].dtype == np.uint8 and example['label'].dtype == np.int32
    assert dataset.class_names[example['label']] in paths(dataset)[0]


def test_a_folder_of_odd_sizes_trains_with_no_word_but_its_name(tmp_path):
    sides = np.random.default_rng(0).integers(9, 300, (12, 2)).tolist()
    for number, (height, width) in enumerate(sides):
        for name in ('ant', 'bee'):
            image = picture(COLOURS[name], height, width)
            write(tmp_path / 'photos' / name / f'{number}.jpg', image)
    layers = ['configs/resnet18.gin', 'configs/models/mlp.gin']
    small = ['EPOCHS = 2', 'BATCH = 4', 'Experiment.pictures = 0']
    folder = f"Images.folder = '{tmp_path / 'photos'}'"
    train(load(layers, [*small, folder]), tmp_path / 'run')
    results = json.loads((tmp_path / 'run/results.json').read_text())
    assert np.isfinite(results['test/loss'])


def test_parts_of_a_folder_are_stratified_disjoint_and_complete(tmp_path):
    write_classes(tmp_path, 30)
    train, val, test = (
        opened(tmp_path, split) for split in ('train[:75%]', 'train[75%:]', 'test')
    )
    assert [len(d) for d in (train, val, test)] == [54, 18, 18]
    for dataset in (train, val, test):
        assert len(set(dataset.label_counts())) == 1
    assert len({*paths(train), *paths(val), *paths(test)}) == 90
    assert sorted(paths(opened(tmp_path, 'all'))) == sorted(
        paths(train) + paths(val) + paths(test)
    )


def test_the_split_depends_on_names_alone(tmp_path):
    first = write_classes(tmp_path / 'a', 10)
    shutil.copytree(first, tmp_path / 'b')
    assert paths(opened(first, 'test')) == paths(opened(tmp_path / 'b', 'test'))
    same = opened(first).fingerprint
    assert same == opened(tmp_path / 'b').fingerprint
    assert same != opened(first, 'train[:5]').fingerprint
    before = set(paths(opened(first, 'test')))
    write(first / 'ant/new.jpg', picture())
    assert opened(first).fingerprint != same
    assert len(before - set(paths(opened(first, 'test')))) <= 1


def test_every_class_is_in_both_parts(tmp_path):
    write_classes(tmp_path, 2)
    assert opened(tmp_path, 'train').label_counts().tolist() == [1, 1, 1]
    assert opened(tmp_path, 'test').label_counts().tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    'names',
    [('train', 'val', 'test'), ('Training', 'valid', 'testing'), ('train', 'dev')],
)
def test_folders_for_the_splits(tmp_path, names):
    for count, name in enumerate(names, 2):
        write_classes(tmp_path / name, count)
    sizes = [len(opened(tmp_path, split)) for split in ('train', 'val', 'validation')]
    assert sizes == [6, 9, 9]
    tested = 12 if len(names) == 3 else 9  # without one, 'test' is the held-out 'val'
    assert len(opened(tmp_path, 'test')) == tested
    with pytest.raises(UserError, match="no split 'extra'; its splits are train, val"):
        opened(tmp_path, 'extra')


def test_a_folder_with_train_alone_is_split(tmp_path):
    write_classes(tmp_path / 'train', 10)
    assert [len(opened(tmp_path, split)) for split in ('train', 'test')] == [24, 6]


def test_train_may_be_a_class(tmp_path):
    write_classes(tmp_path, 4, ['bus', 'car', 'train'])
    assert opened(tmp_path).class_names == ('bus', 'car', 'train')


def test_one_folder_around_the_classes_and_folders_below_them(tmp_path, capsys):
    write_classes(tmp_path / 'photos/flowers', 4)
    write(tmp_path / 'photos/flowers/ant/deep/er/x.TIFF', picture())
    write(tmp_path / 'photos/flowers/ant/.hidden.png', picture())
    write(tmp_path / 'photos/flowers/__MACOSX/ant/x.png', picture())
    dataset = opened(tmp_path, 'all')
    assert dataset.class_names == ('ant', 'bee', 'cat')
    assert len(dataset) == 13
    write(tmp_path / 'loose.png', picture())
    assert len(opened(tmp_path, 'all')) == 13
    assert '1 of 14 pictures lie in no folder of a class' in capsys.readouterr().err


def test_a_grey_set_has_one_channel_and_a_mixed_one_three(tmp_path):
    for name in ('ant', 'bee'):
        for number in range(4):
            grey = picture()[..., :1]
            write(tmp_path / name / f'{number}.png', grey[..., [0]])
    assert opened(tmp_path).image_shape == (64, 64, 1)
    write(tmp_path / 'ant/9.png', picture())
    assert opened(tmp_path).image_shape == (64, 64, 3)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda root: None, r'holds no picture .* expected .*CLASS/PICTURE\.jpg'),
        (lambda root: (root / 'ant').mkdir(), 'holds no picture'),
        (lambda root: write(root / 'a.jpg', picture()), 'holds no picture'),
        (lambda root: write_classes(root, 3, ['ant']), 'one class only, ant'),
    ],
)
def test_nothing_to_train_on_is_one_line(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        opened(tmp_path)
    assert '\n' not in str(caught.value) and len(str(caught.value)) <= 300


def test_no_such_folder_and_no_folder(tmp_path):
    with pytest.raises(UserError, match=r'There is no folder .*photoz'):
        opened(tmp_path / 'photoz')
    path = write(tmp_path / 'a.jpg', picture())
    with pytest.raises(UserError, match=r'is a file; name a folder .* @Csv\(\)'):
        opened(path)


def test_size_and_transforms_contradict():
    from trainer.transforms import CenterCrop

    with pytest.raises(UserError, match=r'Images\.size is 8, but .*transforms'):
        Images(split='train', batch=1, size=8, transforms=[CenterCrop(size=8)])


def test_links_end_and_stay_inside(tmp_path):
    outside = write(tmp_path / 'outside/x.jpg', picture())
    root = write_classes(tmp_path / 'root', 2)
    (root / 'ant/loop').symlink_to(root)
    (root / 'bee/again').symlink_to(root / 'ant')
    (root / 'cat/there.jpg').symlink_to(outside)
    (root / 'cat/inside.jpg').symlink_to(root / 'cat/0.jpg')
    (root / 'cat/lost.jpg').symlink_to(root / 'cat/nowhere.jpg')
    found = list_files(str(root), SUFFIXES)
    assert len(found.sizes) == 7 and 'cat/inside.jpg' in found.sizes
    problems = ' '.join(found.problems)
    assert 'cat/there.jpg: a link that leaves' in problems
    assert 'cat/lost.jpg: a link that leads nowhere' in problems
    assert len(found.remarks) == 2
    found = list_files(str(root), SUFFIXES, follow_links=True)
    assert 'cat/there.jpg' in found.sizes
    assert len(ImageFolder(folder=str(root), follow_links=True).open('all')) == 8


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    root = write_classes(tmp_path, 2)
    real = os.scandir

    def scandir(path):
        if str(path).endswith('bee'):
            raise PermissionError(13, 'Permission denied')
        return real(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    found = list_files(str(root), SUFFIXES)
    assert found.problems == ['bee: Permission denied']
    with pytest.raises(UserError, match=r"bee: Permission denied; .*on_error = 'skip'"):
        opened(root, on_error='fail')


def test_names_of_any_bytes_are_classes_too(tmp_path):
    root = write_classes(tmp_path, 2)
    os.rename(root / 'ant', os.fsencode(root) + b'/\xff\n')
    dataset = opened(root)
    assert len(dataset.class_names) == 3
    assert all(name.isprintable() for name in dataset.class_names)
    assert dataset[0]['image'].shape == (64, 64, 3)


def test_val_and_test_alone_are_no_classes(tmp_path):
    write_classes(tmp_path / 'val', 2)
    write_classes(tmp_path / 'test', 3)
    assert opened(tmp_path, 'test').class_names == ('ant', 'bee', 'cat')
    with pytest.raises(UserError, match="no split 'train'; its splits are val, test"):
        opened(tmp_path)


def test_a_folder_may_lie_at_home(tmp_path, monkeypatch):
    write_classes(tmp_path / 'photos', 2)
    monkeypatch.setenv('HOME', str(tmp_path))
    dataset = opened('~/photos', 'all')
    assert len(dataset) == 6 and dataset[5]['image'].shape == (64, 64, 3)


def test_the_empty_class_is_named_where_one_is_left(tmp_path):
    write_classes(tmp_path, 3, ['ant'])
    (tmp_path / 'bee').mkdir()
    with pytest.raises(UserError, match=r'one class only, ant.*class bee is dropped'):
        opened(tmp_path)


def test_what_is_left_out_of_all_splits_is_said_once(tmp_path, capsys):
    root = write_classes(tmp_path / 'photos', 4)
    os.mkfifo(root / 'bee/pipe.png')
    found = [opened(root, split, batch=2).skipped for split in ('train', 'test')]
    line = f'{root}: bee/pipe.png: no regular file'
    assert found == [(line,), (line,)]
    assert capsys.readouterr().err.count(line) == 1
