"""Image files: found in the order in which they are named, brought to a run's size."""

import cv2
import numpy as np
import pytest

from trainer.errors import UserError
from trainer.image_files import ImageReader, find_images
from trainer.transforms import CenterCrop, RandomResizedCrop, ResizeShortSide


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with images, also a damaged, a hidden and a deeper one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photos' / 'more').mkdir(parents=True)
    for name in ('b.png', 'more/a.png', '.hidden.png'):
        cv2.imwrite(str(tmp_path / 'photos' / name), np.zeros((8, 8), np.uint8))
    (tmp_path / 'photos' / 'broken.png').write_bytes(b'no image')
    return tmp_path / 'photos'


def test_an_empty_folder_is_warned_of(tmp_path, capsys):
    assert find_images([tmp_path]) == []
    assert 'holds no file that is called like' in capsys.readouterr().err


def test_the_transforms_of_the_run_come_first(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), image[..., ::-1])
    transforms = [ResizeShortSide(size=16), CenterCrop(size=8)]
    expected = {'image': image}
    for transform in transforms:
        expected = transform(expected)
    chance = RandomResizedCrop(size=8)
    reader = ImageReader([*transforms, chance], (8, 8, 3))
    np.testing.assert_array_equal(reader(path)[0], expected['image'])
    assert ImageReader([chance], (8, 8, 3))(path)[0].shape == (8, 8, 3)
    assert ImageReader([CenterCrop(size=50)], (50, 50, 3))(path)[0].shape == (50, 50, 3)
    np.testing.assert_array_equal(ImageReader([], (40, 60, 3))(path)[0], image)


def test_what_did_not_learn_from_images_is_refused():
    for shape in ((64,), (8, 8, 5)):
        with pytest.raises(UserError, match='files hold images of 1 or 3 channels'):
            ImageReader([], shape)


def test_globs_and_folders_are_sorted(photos):
    found = find_images(['photos/**/*.png', 'no*.png', photos / 'more'])
    assert [str(path) for path in found] == [
        'photos/b.png',
        'photos/broken.png',
        'photos/more/a.png',
        'no*.png',
        str(photos / 'more' / 'a.png'),
    ]


def test_one_word_may_stand_without_a_list(photos):
    assert find_images(str(photos)) == find_images(photos) == find_images([photos])
    assert find_images(photos)


def test_grey_and_rgb_are_what_the_run_has(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes blue, green, red
    path = tmp_path / 'red.png'
    cv2.imwrite(str(path), red)
    assert ImageReader([], (8, 8, 3))(path)[0][0, 0].tolist() == [255, 0, 0]
    assert ImageReader([], (8, 8, 1))(path)[0][0, 0].tolist() == [76]  # ITU-R BT.601
