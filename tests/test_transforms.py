"""Host transforms against Pillow and plain numpy."""

import numpy as np
import pytest
from PIL import Image

from trainer.errors import UserError
from trainer.transforms import CenterCrop, RandomResizedCrop, ResizeShortSide, resize

RNG = np.random.default_rng(0)


def picture(height, width, channels=3):
    """A smooth random image, on which good resizers agree."""
    coarse = RNG.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    return resize(coarse, height, width)


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ((40, 60), (20, 30)),
        ((61, 40), (30, 20)),
        ((10, 15), (20, 30)),
        ((20, 20), (20, 20)),
    ],
)
@pytest.mark.parametrize('channels', [1, 3])
def test_resize_short_side_keeps_proportions(shape, expected, channels):
    example = {'image': picture(*shape, channels), 'label': 4}
    out = ResizeShortSide(size=20)(example)
    assert out['image'].shape == (*expected, channels)
    assert out['image'].dtype == np.uint8
    assert out['label'] == 4 and example['image'].shape[:2] == shape


@pytest.mark.parametrize(('height', 'width'), [(24, 32), (120, 160)])
def test_resize_agrees_with_pillow(height, width):
    image = picture(48, 64)
    method = Image.Resampling.BOX if height < 48 else Image.Resampling.BILINEAR
    expected = np.asarray(Image.fromarray(image).resize((width, height), method))
    difference = np.abs(resize(image, height, width).astype(int) - expected)
    assert difference.max() <= 2


@pytest.mark.parametrize(('height', 'width'), [(9, 12), (8, 8), (11, 8)])
def test_center_crop_takes_the_middle(height, width):
    image = picture(height, width)
    top, left = (height - 8) // 2, (width - 8) // 2
    out = CenterCrop(size=8)({'image': image})['image']
    np.testing.assert_array_equal(out, image[top : top + 8, left : left + 8])


def test_center_crop_of_a_smaller_image_says_what_to_do():
    with pytest.raises(
        UserError, match=r'size is 8, .* 7 x 9 pixels; put @ResizeShort'
    ):
        CenterCrop(size=8)({'image': picture(7, 9)})


def test_random_resized_crop_is_a_box_of_the_image():
    crop = RandomResizedCrop(size=16)
    rng = np.random.default_rng(1)
    for height, width in [(40, 60), (60, 40), (5, 100), (1, 1)] * 50:
        top, left, h, w = crop.draw(rng, height, width)
        assert 0 <= top <= height - h and 0 <= left <= width - w and h > 0 < w


def test_random_resized_crop_keeps_to_its_limits():
    crop = RandomResizedCrop(size=16, min_area=0.25, max_area=0.5, max_ratio=1.5)
    rng = np.random.default_rng(2)
    boxes = np.array([crop.draw(rng, 200, 200) for _ in range(500)])
    area, ratio = boxes[:, 2] * boxes[:, 3] / 200**2, boxes[:, 3] / boxes[:, 2]
    assert 0.24 < area.min() < 0.27 and 0.48 < area.max() < 0.51
    assert 0.65 < ratio.min() < 0.72 and 1.4 < ratio.max() < 1.53


def test_random_resized_crop_depends_on_its_rng_alone():
    image = picture(40, 60, 1)
    crop = RandomResizedCrop(size=16)
    first, again, other = (
        crop(np.random.default_rng(seed), {'image': image})['image']
        for seed in (3, 3, 4)
    )
    assert first.shape == (16, 16, 1)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_crop_of_everything_is_a_resize():
    image = picture(32, 32)
    crop = RandomResizedCrop(size=16, min_area=1.0, max_ratio=1.0)
    out = crop(np.random.default_rng(0), {'image': image})['image']
    np.testing.assert_array_equal(out, resize(image, 16, 16))
