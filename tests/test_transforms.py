"""Host transforms against Pillow and plain numpy."""

import numpy as np
import pytest
from PIL import Image

from trainer.data.objects import pack_objects
from trainer.data.reader import enough_pixels
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


def test_a_crop_is_drawn_and_then_resized():
    image = picture(40, 60)
    crop = RandomResizedCrop(size=16)
    for seed in range(20):
        rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
        top, left, h, w = crop.draw(again, 40, 60)
        expected = resize(image[top : top + h, left : left + w], 16, 16)
        out = crop(rng, {'image': image})['image']
        np.testing.assert_array_equal(out, expected)


def test_shrinking_by_a_whole_factor_is_the_mean_of_each_block():
    image = RNG.integers(0, 256, (24, 36, 3), dtype=np.uint8)
    means = image.reshape(8, 3, 12, 3, 3).mean((1, 3))
    assert np.abs(resize(image, 8, 12) - means).max() <= 0.5


def test_enlarging_is_bilinear_between_the_centres_of_pixels():
    image = RNG.integers(0, 256, (5, 7, 1), dtype=np.uint8)
    x = np.clip((np.arange(21) + 0.5) / 3 - 0.5, 0, 6)
    y = np.clip((np.arange(10) + 0.5) / 2 - 0.5, 0, 4)
    rows = [np.interp(x, np.arange(7), row) for row in image[..., 0]]
    expected = np.stack([np.interp(y, np.arange(5), c) for c in np.transpose(rows)], 1)
    assert np.abs(resize(image, 10, 21)[..., 0] - expected).max() < 1  # in whole levels


def drawn(height=40, width=60):
    """A box in each channel, with its segmentation and a keypoint in its middle."""
    boxes = [(4, 6, 16, 24), (20, 30, 36, 54)]
    image = np.zeros((height, width, 3), np.uint8)
    segmentation = np.zeros((height, width), np.uint8)
    for thing, (y0, x0, y1, x1) in enumerate(boxes):
        image[y0:y1, x0:x1, thing] = 255
        segmentation[y0:y1, x0:x1] = thing + 1
    objects = pack_objects(
        3,
        boxes,
        labels=[0, 1],
        areas=[216, 384],
        keypoints=[[(15, 10, 2)], [(42, 28, 1)]],
        num_keypoints=1,
    )
    return {'image': image, 'segmentation': segmentation, 'label': 3} | objects


def check_labels(out):
    """Labels lie on what was drawn, to a pixel."""
    height, width = out['image'].shape[:2]
    assert out['segmentation'].shape == (height, width) and out['label'] == 3
    for thing in range(2):
        sure = np.abs(out['image'][..., thing] - 127.5) > 127
        here, pixels = out['segmentation'] == thing + 1, out['image'][..., thing] > 127
        np.testing.assert_array_equal(here[sure], pixels[sure])
        if out['box_labels'][thing] < 0:
            assert not out['boxes'][thing].any() and not out['keypoints'][thing].any()
            continue
        places = np.argwhere(pixels)
        tight = [*places.min(0), *(places.max(0) + 1)]
        assert np.abs(tight - out['boxes'][thing]).max() < 1.1
        x, y, visibility = out['keypoints'][thing, 0]
        if visibility:
            assert pixels[min(int(y), height - 1), min(int(x), width - 1)]
    assert (out['box_labels'] >= 0).sum() == (out['areas'] > 0).sum()
    assert all(out[k].dtype == v.dtype for k, v in drawn().items() if k != 'label')


def test_resize_and_centre_crop_carry_labels_along():
    out = ResizeShortSide(size=20)(drawn())
    np.testing.assert_array_equal(out['boxes'][0], [2, 3, 8, 12])
    np.testing.assert_array_equal(out['areas'], [54, 96, 0])
    np.testing.assert_array_equal(out['keypoints'][1, 0], [21, 14, 1])
    check_labels(out)
    check_labels(ResizeShortSide(size=70)(drawn()))
    out = CenterCrop(size=24)(drawn())
    np.testing.assert_array_equal(out['boxes'][0], [0, 0, 8, 6])
    np.testing.assert_array_equal(out['box_labels'], [0, 1, -1])
    check_labels(out)
    assert CenterCrop(size=24, min_visible=0.3)(drawn())['box_labels'][0] == -1


def test_random_resized_crop_carries_labels_along():
    crop, gone = RandomResizedCrop(size=32, min_area=0.1, min_visible=0.2), 0
    for seed in range(60):
        out = crop(np.random.default_rng(seed), drawn())
        check_labels(out)
        gone += (out['box_labels'][:2] < 0).sum()
    assert 10 < gone < 80


def test_a_segmentation_takes_the_nearest_pixel_as_pillow_does():
    segmentation = RNG.integers(0, 256, (40, 60), dtype=np.uint8)
    example = {'image': picture(40, 60), 'segmentation': segmentation}
    out = ResizeShortSide(size=26)(example)['segmentation']
    nearest = Image.Resampling.NEAREST
    expected = np.asarray(Image.fromarray(segmentation).resize((39, 26), nearest))
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize('shape', [(90, 120), (64, 200), (77, 77)])
def test_a_picture_of_enough_pixels_leaves_no_crop_smaller_than_its_result(shape):
    crop = RandomResizedCrop(size=16, min_area=0.1)
    enough = enough_pixels([crop])
    assert 16 < enough <= min(shape) and enough_pixels([CenterCrop(), crop]) is None
    boxes = [crop.draw(np.random.default_rng(seed), *shape) for seed in range(300)]
    assert min(min(height, width) for _, _, height, width in boxes) >= 16


@pytest.mark.parametrize(
    ('kind', 'size'),
    [(ResizeShortSide, 256), (RandomResizedCrop, 224), (CenterCrop, 224)],
)
def test_a_size_that_nobody_says_is_as_one_that_is_said(kind, size):
    open_size, said = kind(), kind(size=size)
    assert open_size.pixels == size and kind(size=17).pixels == 17
    assert enough_pixels([open_size]) == enough_pixels([said])
    chance = [np.random.default_rng(0)] * (kind is RandomResizedCrop)
    shape = open_size(*chance, {'image': picture(300, 310)})['image'].shape
    assert min(shape[:2]) == size
