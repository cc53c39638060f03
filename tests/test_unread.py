"""Splits that a data set comes in and that no role reads: named, with the remedy."""

import cv2
import pytest

import main
from tests.picture_folders import picture, write, write_classes
from trainer.data.images import Images
from trainer.data.sources.csv import Csv
from trainer.data.sources.mask_folder import MaskFolder
from trainer.data.unread import unread

SPLIT = {'train': 12, 'val': 3, 'test': 2}  # pictures of each class
ROLES = {'train': 'train[:75%]', 'eval': 'train[75%:]', 'test': 'test'}
VAL = (
    "photos: nothing reads the 9 pictures of its split 'val' (eval reads "
    "'train[75%:]'): set eval/Images.split = 'val' and train/Images.split = 'train'"
)
TEST = (
    "photos: nothing reads the 6 pictures of its split 'test': set "
    "Experiment.test_data = @test/Images() and test/Images.split = 'test'"
)


def write_split(root, sizes=SPLIT):
    for split, count in sizes.items():
        write_classes(root / split, count)
    return root


def said(splits=None, **fields):
    """What is said of roles that read these splits."""
    given = {'folder': 'photos', 'batch': 2, **fields}
    roles = {**ROLES} if splits is None else splits
    opened = {role: Images(split=s, **given).open() for role, s in roles.items()}
    return list(unread(opened))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('name', ['val', 'valid', 'Validation'])
def test_a_val_folder_that_nothing_reads_is_named_with_its_bindings(here, name):
    write_split(here / 'photos', {'train': 12, name: 3, 'test': 2})
    assert said() == [VAL]
    assert said({'train': 'train', 'eval': 'val', 'test': 'test'}) == []


def test_a_role_that_the_config_has_not_is_to_be_added(here):
    write_split(here / 'photos')
    assert said({'train': 'train', 'eval': 'val'}) == [TEST]
    alone = said({'train': 'train'})
    assert len(alone) == 2 and alone[1] == TEST
    assert alone[0].endswith(
        "'val': set Experiment.eval_data = @eval/Images() and eval/Images.split = 'val'"
    )


@pytest.mark.parametrize(
    'splits',
    [
        {'train': 'train+val[:50%]', 'eval': 'val[50%:]', 'test': 'test'},
        {'train': 'train', 'eval': 'train[:10%]', 'night': 'validation + testing'},
        {'train': 'all'},
    ],
)
def test_what_is_read_in_any_way_is_not_named(here, splits):
    write_split(here / 'photos')
    assert said(splits) == []


def test_nothing_is_said_where_there_is_no_such_folder(here):
    write_split(here / 'photos', {'train': 12, 'test': 2})
    assert said() == []
    write_split(here / 'two', {'train': 12, 'val': 3})
    assert said(folder='two') == []  # its val is what 'test' reads
    write_classes(here / 'unsplit', 12)
    assert said({'train': 'train'}, folder='unsplit') == []
    assert said(folder=None, name='digits') == []


def test_nothing_is_said_of_a_role_that_reads_other_data(here):
    write_split(here / 'photos')
    images = {role: Images(folder='photos', split='train', batch=2) for role in ROLES}
    images['eval'] = Images(folder='photos/val', split='train', batch=2)
    images['test'] = Images(folder='photos', split='test', batch=2)
    assert list(unread({role: data.open() for role, data in images.items()})) == []


def test_tables_and_masks_have_splits_too(here):
    write_split(here / 'photos')
    files = sorted((here / 'photos').glob('*/*/*.jpg'))
    rows = [f'{file},{file.parts[-2]},{file.parts[-3]}' for file in files]
    (here / 'photos.csv').write_text('\n'.join(['path,label,split', *rows]))
    (line,) = said(folder=None, source=Csv(file='photos.csv'))
    assert "nothing reads the 9 pictures of its split 'val'" in line
    for split, count in SPLIT.items():
        for number in range(count):
            write(here / f'cells/{split}/images/{number}.png', picture(seed=number))
            mask = cv2.inRange(picture(), (0, 0, 0), (220, 255, 255)) // 255
            (here / f'cells/{split}/masks').mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(here / f'cells/{split}/masks/{number}.png'), mask)
    (line,) = said(folder=None, source=MaskFolder(folder='cells'))
    assert "cells: nothing reads the 3 pictures of its split 'val'" in line


@pytest.mark.parametrize('command', ['train', 'data'])
def test_training_and_data_say_it_once(here, capsys, command):
    write_split(here / 'photos')
    words = ['main.py', *[command][command == 'train' :], '--gin_file=configs/mlp.gin']
    words += ["--gin.Images.folder='photos'", '--gin.EPOCHS=1', '--gin.BATCH=4']
    words += ['--gin.MLP.hidden_dim=8', '--gin.Experiment.pictures=0']
    words += ['--workdir=run'] if command == 'train' else ['--out=report']
    assert main.main(words) == 0
    captured = capsys.readouterr()
    told = VAL.replace('75%', '90%')
    assert (captured.out + captured.err).count(told) == 1
    if command == 'train':
        assert f'warning: {told}\n' in captured.err
