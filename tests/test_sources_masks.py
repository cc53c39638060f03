"""Pictures with masks: pairs, what masks hold, and masks that do not fit."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.picture_folders import picture, write
from trainer.data.images import Images
from trainer.data.sources.mask_folder import MaskFolder
from trainer.errors import UserError

BLOCKS = np.repeat(np.repeat(np.array([[0, 1], [2, 255]]), 10, 0), 12, 1)


def opened(split='all', on_error='skip', **fields):
    source = MaskFolder(**fields)
    images = Images(source=source, split=split, batch=2, on_error=on_error)
    return images.open()


def save(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), mask.astype(np.uint8))


def pairs(root, numbers=range(10), mask=BLOCKS, mark='', split=''):
    for number in numbers:
        image = picture(height=20, width=24, seed=number)
        write(root / split / f'images/{number}.jpg', image)
        save(root / split / f'masks/{number}{mark}.png', mask)
    return root


def test_pairs_classes_and_ignored_pixels(tmp_path):
    pairs(tmp_path, mark='_mask')
    dataset = opened(folder=str(tmp_path))
    assert dataset.segmentation_names == ('0', '1', '2')
    example = dataset.source[3]
    np.testing.assert_array_equal(example['segmentation'], BLOCKS)
    assert example['segmentation'].dtype == np.uint8
    assert example['image'].shape == (20, 24, 3)
    named = opened(folder=str(tmp_path), class_names=['sky', 'tree', 'road', 'car'])
    assert named.segmentation_names == ('sky', 'tree', 'road', 'car')
    assert named.fingerprint != dataset.fingerprint
    assert len(opened('test', folder=str(tmp_path))) == 2


def test_two_folders_and_folders_below_them(tmp_path):
    for number in range(4):
        image = picture(height=20, width=24)
        write(tmp_path / f'photos/day/{number}.PNG', image)
        save(tmp_path / f'truth/day/{number}.png', BLOCKS)
    where = {'images': str(tmp_path / 'photos'), 'masks': str(tmp_path / 'truth')}
    assert len(opened(**where)) == 4


@pytest.mark.parametrize('above', [True, False])
def test_folders_for_the_splits(tmp_path, above):
    for split, count in (('train', 4), ('val', 2)):
        pairs(tmp_path, range(count), split=split)
        if not above:
            for role in ('images', 'masks'):
                (tmp_path / role).mkdir(exist_ok=True)
                (tmp_path / split / role).rename(tmp_path / role / split)
    sizes = [len(opened(s, folder=str(tmp_path))) for s in ('train', 'val', 'test')]
    assert sizes == [4, 2, 2]


def test_black_and_white_masks_are_background_and_foreground(tmp_path):
    pairs(tmp_path, mask=np.where(BLOCKS == 1, 255, 0))
    dataset = opened(folder=str(tmp_path))
    assert dataset.segmentation_names == ('background', 'foreground')
    np.testing.assert_array_equal(dataset.source[0]['segmentation'], BLOCKS == 1)


def test_numbers_with_gaps_are_counted_from_zero(tmp_path):
    pairs(tmp_path, mask=np.where(BLOCKS == 1, 50, np.where(BLOCKS == 2, 200, 0)))
    dataset = opened(folder=str(tmp_path))
    assert dataset.segmentation_names == ('0', '50', '200')
    assert set(np.unique(dataset.source[0]['segmentation'])) == {0, 1, 2}


def test_palettes_bits_and_three_equal_channels_are_numbers_too(tmp_path):
    pairs(tmp_path, range(4))
    labels = np.where(BLOCKS == 255, 0, BLOCKS).astype(np.uint8)
    palette = Image.fromarray(labels).convert('P')
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.save(tmp_path / 'masks/1.png')
    Image.fromarray(labels == 1).save(tmp_path / 'masks/2.png')
    Image.fromarray(np.stack([labels] * 3, -1)).save(tmp_path / 'masks/3.png')
    dataset = opened(folder=str(tmp_path))
    assert dataset.skipped == ()
    expected = {'1.jpg': labels, '2.jpg': labels == 1, '3.jpg': labels}
    for index in range(4):
        name = dataset.source.identify(index).split('/')[-1]
        found = dataset.source[index]['segmentation']
        np.testing.assert_array_equal(found, expected.get(name, BLOCKS))


def test_a_turned_picture_fits_the_mask_of_either_way_up(tmp_path):
    pairs(tmp_path, range(2), mask=BLOCKS)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(picture(height=20, width=24))
    stored.save(tmp_path / 'images/0.jpg', exif=exif)
    stored.transpose(Image.Transpose.ROTATE_90).save(
        tmp_path / 'images/1.jpg', exif=exif
    )
    dataset = opened(folder=str(tmp_path))
    assert [dataset.source[i]['image'].shape for i in range(2)] == [(20, 24, 3)] * 2


def test_masks_that_do_not_fit_are_named_and_left_out(tmp_path, capsys):
    pairs(tmp_path, range(10))
    save(tmp_path / 'masks/1.png', np.zeros((7, 8)))
    colours = np.random.default_rng(0).integers(0, 255, (20, 24, 3), dtype=np.uint8)
    write(tmp_path / 'masks/2.png', colours)
    (tmp_path / 'masks/3.png').write_bytes(b'')
    (tmp_path / 'masks/4.png').unlink()
    (tmp_path / 'images/5.jpg').unlink()
    save(tmp_path / 'masks/6.png', np.full((20, 24), 77))
    dataset = opened(folder=str(tmp_path), class_names=['a', 'b', 'c'])
    assert len(dataset) == 4
    said = capsys.readouterr().err
    for line in [
        '1.jpg: 24 x 20 pixels, but its mask 8 x 7',
        '2.png: a mask of colours',
        '3.png: an empty file',
        '4.jpg: no mask',
        '5.png: no picture',
        '6.png: the label 77, but 3 classes',
    ]:
        assert line in said
    assert len(dataset.skipped) == 6
    with pytest.raises(UserError, match=r"\(and 5 more\); .*on_error = 'skip'"):
        opened(folder=str(tmp_path), class_names=['a', 'b', 'c'], on_error='fail')


def test_a_broken_picture_is_replaced(tmp_path):
    pairs(tmp_path, range(4))
    (tmp_path / 'images/2.jpg').write_bytes(b'')
    dataset = opened(folder=str(tmp_path))
    list(dataset.eval_batches())
    assert 'an empty file' in dataset.skipped[0]


def test_nothing_to_train_on_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r'expected images/NAME\.jpg and masks'):
        opened(folder=str(tmp_path))
    with pytest.raises(UserError, match=r'needs MaskFolder\.folder'):
        opened(images=str(tmp_path))
    pairs(tmp_path, mask=np.full((20, 24), 3))
    with pytest.raises(UserError, match='the masks hold one class only, 3'):
        opened(folder=str(tmp_path))
