"""The pack on disk: the same batches, made once, never half, anew when data changes."""

import pathlib
import pickle

import numpy as np
import pytest

from tests.picture_folders import picture, write, write_classes, write_zoo
from trainer.data import packed
from trainer.data.images import Images
from trainer.data.packed import Packed, open_packed, pack_key
from trainer.data.sources.shapes import Shapes
from trainer.errors import TrainingFailed, UserError
from trainer.transforms import CenterCrop, RandomResizedCrop, ResizeShortSide


def opened(tmp_path, cache='disk', **fields):
    where = {'cache': cache, 'cache_dir': str(tmp_path / 'packs')}
    images = Images(**{'split': 'train', 'batch': 4, **where, **fields})
    return images.open()


def batches(dataset, count=6):
    made = dataset.train_batches(0)
    found = [next(made) for _ in range(count)]
    made.close()
    return found + list(dataset.eval_batches())


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert {k: v.dtype for k, v in a.items()} == {k: v.dtype for k, v in b.items()}
        assert all(np.array_equal(a[key], b[key]) for key in a)


SHAPES = Shapes(kind='everything', size=16, train=20, test=8)
CROP = [ResizeShortSide(size=24), RandomResizedCrop(size=16)]


@pytest.mark.parametrize('transforms', [(), CROP])
def test_packed_batches_are_those_of_the_source(tmp_path, transforms):
    fields = {'source': SHAPES, 'transforms': transforms}
    read = batches(opened(tmp_path, None, **fields))
    assert_same(batches(opened(tmp_path, **fields)), read)
    assert_same(batches(opened(tmp_path, **fields)), read)
    assert len(list((tmp_path / 'packs').iterdir())) == 1


def test_a_later_run_decodes_nothing(tmp_path, monkeypatch):
    write_classes(tmp_path / 'photos', 10)
    fields = {'folder': str(tmp_path / 'photos'), 'size': 16}
    first = batches(opened(tmp_path, **fields))
    later = opened(tmp_path, **fields)

    def decode(*_):
        raise AssertionError('a picture was decoded')

    monkeypatch.setattr('trainer.data.photos.read_picture', decode)
    assert_same(batches(later), first)


def test_what_was_skipped_stays_named_and_masked(tmp_path):
    write_zoo(tmp_path / 'zoo')
    fields = {'folder': str(tmp_path / 'zoo'), 'size': 16}
    read = batches(opened(tmp_path, None, **fields))
    for _ in range(2):
        dataset = opened(tmp_path, **fields)
        assert_same(batches(dataset), read)
        assert len(dataset.skipped) == 2


def test_another_pack_for_other_data_or_transforms(tmp_path):
    root = write_classes(tmp_path / 'photos', 4)
    fields = {'folder': str(root), 'size': 16}
    part = {'split': 'test', 'batch': 3}
    for change in [{}, {'size': 12}, part, {'on_error': 'fail'}]:
        list(opened(tmp_path, **fields | change).eval_batches())
    write(root / 'ant/new.jpg', picture())
    list(opened(tmp_path, **fields).eval_batches())
    assert len(list((tmp_path / 'packs').iterdir())) == 5
    code = [lambda example: example, lambda example: dict(example)]
    keys = {pack_key('f', [step], 'skip') for step in (*code, *CROP, CenterCrop())}
    assert len(keys) == 5


def test_another_pack_for_a_file_of_the_same_size(tmp_path):
    root = write_classes(tmp_path / 'photos', 4, suffix='.bmp')
    fields = {'folder': str(root), 'size': 16, 'split': 'all'}
    before = opened(tmp_path, **fields)
    first = batches(before)
    write(root / 'ant/0.bmp', 255 - picture())
    after = opened(tmp_path, **fields)
    assert after.fingerprint == before.fingerprint
    new = batches(after)
    assert any(
        (a['image'] != b['image']).any() for a, b in zip(first, new, strict=True)
    )
    assert len(list((tmp_path / 'packs').iterdir())) == 2


class Broken(list):
    """A reader that fails half way."""

    def __getitem__(self, index):
        if index > 3:
            raise OSError(28, 'No space left on device')
        return {'image': np.zeros((2, 2, 1), np.uint8)}


def test_a_pack_that_was_not_finished_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match=r'No space left on device; set .*cache_dir'):
        open_packed(tmp_path, 'key', Broken(range(9)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('damage', ['cut', 'facts', 'index', 'gone'])
def test_a_damaged_pack_is_made_anew(tmp_path, damage, capsys):
    read = batches(opened(tmp_path, source=SHAPES))
    (pack,) = (tmp_path / 'packs').iterdir()
    records = pack / packed.RECORDS
    if damage == 'cut':
        records.write_bytes(records.read_bytes()[:-10])
    elif damage == 'facts':
        (pack / packed.FACTS).write_text('{')
    elif damage == 'index':
        (pack / packed.INDEX).write_bytes(bytes(160))
    else:
        records.unlink()
    assert_same(batches(opened(tmp_path, source=SHAPES)), read)
    assert 'is damaged' in capsys.readouterr().err


def test_a_flipped_bit_is_one_line(tmp_path):
    dataset = opened(tmp_path, source=SHAPES)
    batches(dataset, 1)
    records = next((tmp_path / 'packs').iterdir()) / packed.RECORDS
    content = bytearray(records.read_bytes())
    content[len(content) // 2] ^= 16
    records.write_bytes(content)
    with pytest.raises(TrainingFailed, match=r'is damaged \(example \d+: .*delete it'):
        list(opened(tmp_path, source=SHAPES).eval_batches())


def test_a_faster_run_wins(tmp_path, monkeypatch):
    class Slow(list):
        def __getitem__(self, index):
            if index == 2:
                open_packed(tmp_path, 'key', Fast(range(3)))
            return {'image': np.full((2,), index)}

    class Fast(list):
        def __getitem__(self, index):
            return {'image': np.full((2,), index)}

    found = open_packed(tmp_path, 'key', Slow(range(3)))
    assert [found[i]['image'][0] for i in range(3)] == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ['key']


def test_it_travels_to_workers(tmp_path):
    pack = open_packed(tmp_path, 'key', [{'x': np.arange(3)}, {'x': np.arange(4)}])
    pack[0]
    again = pickle.loads(pickle.dumps(pack))
    assert isinstance(again, Packed) and isinstance(again.directory, pathlib.Path)
    np.testing.assert_array_equal(again[1]['x'], np.arange(4))
