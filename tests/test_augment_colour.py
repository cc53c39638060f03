"""Colours, tones and erasing against Pillow, colorsys and plain numpy."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from trainer.augment import (
    ColourJitter,
    Grayscale,
    RandAugment,
    RandomErasing,
    colour,
    tones,
)
from trainer.augment import policy as policies
from trainer.errors import UserError

KEY = jax.random.key(5)
LEVEL = 1 / 255
FACTORS = np.array([0.0, 0.3, 1.0, 1.7], np.float32)


def photographs(count=4, size=32):
    """Smooth pictures of a narrow range of levels, one of them of a single level."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(30, 220, (count, 5, 5, 3), dtype=np.uint8)
    coarse[-1] = 90
    images = [Image.fromarray(c).resize((size, size + 4)) for c in coarse]
    return np.stack([np.asarray(image) for image in images])


def floats(levels):
    return jnp.asarray(levels, jnp.float32) / 255


@pytest.mark.parametrize(
    ('adjust', 'enhancer'),
    [
        (colour.adjust_brightness, ImageEnhance.Brightness),
        (colour.adjust_contrast, ImageEnhance.Contrast),
        (colour.adjust_saturation, ImageEnhance.Color),
        (tones.sharpen, ImageEnhance.Sharpness),
    ],
)
def test_enhancements_equal_pillow(adjust, enhancer):
    levels = photographs()
    after = jax.jit(adjust)(floats(levels), FACTORS)
    for row, factor in enumerate(FACTORS.tolist()):
        expected = enhancer(Image.fromarray(levels[row])).enhance(factor)
        # Pillow rounds the grey, the blend, and the mean of a contrast.
        difference = np.abs(after[row] - floats(np.asarray(expected)))
        assert difference.max() <= 2.01 * LEVEL
    np.testing.assert_allclose(after[2], floats(levels[2]), atol=1e-6)


@pytest.mark.parametrize(
    ('change', 'reference', 'tolerance'),
    [
        (lambda x: tones.posterize(x, 3), lambda x: ImageOps.posterize(x, 3), 0),
        (lambda x: tones.solarize(x, 0.5), lambda x: ImageOps.solarize(x, 128), 0),
        (tones.autocontrast, ImageOps.autocontrast, 1),
        (tones.equalize, ImageOps.equalize, 0),
    ],
    ids=['posterize', 'solarize', 'autocontrast', 'equalize'],
)
def test_tone_curves_equal_pillow(change, reference, tolerance):
    levels = photographs()
    after = jax.jit(change)(floats(levels))
    for row in range(len(levels)):
        expected = np.asarray(reference(Image.fromarray(levels[row])))
        difference = np.abs(np.asarray(after[row]) * 255 - expected)
        assert difference.max() <= tolerance + 1e-4


def test_equalize_of_a_tiny_picture_equals_pillow():
    """Fewer pixels than levels: there is no step to take, and nothing changes."""
    levels = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    after = np.asarray(tones.equalize(floats(levels))) * 255
    for row in range(2):
        expected = np.asarray(ImageOps.equalize(Image.fromarray(levels[row])))
        np.testing.assert_allclose(after[row], expected, atol=1e-4)


def test_hue_equals_colorsys():
    rng = np.random.default_rng(0)
    image = rng.random((3, 4, 5, 3), np.float32)
    image[0, 0], image[1, 0, :, 1] = 0.5, image[1, 0, :, 0]  # greys and ties
    turns = np.array([-0.5, 0.1, 0.37], np.float32)
    after = np.asarray(jax.jit(colour.turn_hue)(image, turns))
    for place in np.ndindex(3, 4, 5):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[place])
        hue = (hue + turns[place[0]]) % 1
        expected = colorsys.hsv_to_rgb(hue, saturation, value)
        np.testing.assert_allclose(after[place], expected, atol=2e-6)


def test_jitter_is_its_parts_in_order():
    function = ColourJitter(brightness=0.5, contrast=2, saturation=0.3, hue=0.2)
    image = floats(photographs())
    drawn = np.asarray(jax.random.uniform(KEY, (4, 4), minval=-1.0))
    after = function(KEY, {'image': image})['image']
    expected = colour.adjust_brightness(image, 1 + 0.5 * drawn[0])
    expected = colour.adjust_contrast(expected, 1.5 + 1.5 * drawn[1])  # from 0 to 3
    expected = colour.adjust_saturation(expected, 1 + 0.3 * drawn[2])
    expected = colour.turn_hue(expected, 0.2 * drawn[3])
    np.testing.assert_allclose(after, expected, atol=1e-6)


def test_jitter_of_nothing_changes_nothing():
    image = floats(photographs())
    function = ColourJitter(brightness=0, contrast=0, saturation=0, hue=0)
    np.testing.assert_array_equal(function(KEY, {'image': image})['image'], image)


def test_grayscale_equals_pillow():
    levels = photographs()
    after = Grayscale(probability=1)(KEY, {'image': floats(levels)})['image']
    for row in range(len(levels)):
        expected = np.asarray(Image.fromarray(levels[row]).convert('L'))
        assert np.abs(after[row] * 255 - expected[..., None]).max() <= 0.51


def test_erasing_covers_boxes_of_the_asked_sizes():
    image = np.full((400, 40, 60, 3), 2, np.float32)
    function = RandomErasing(
        probability=0.5, min_area=0.1, max_area=0.2, max_ratio=2, fill=0.25
    )
    after = np.asarray(jax.jit(function)(KEY, {'image': image})['image'])
    covered = (after == 0.25).all(-1)
    assert ((after == 2).all(-1) | covered).all()
    erased = covered.any((1, 2))
    assert 150 < erased.sum() < 250
    rows, columns = covered.any(2).sum(1)[erased], covered.any(1).sum(1)[erased]
    np.testing.assert_array_equal(covered.sum((1, 2))[erased], rows * columns)
    share, ratio = rows * columns / 2400, rows / columns
    assert 0.09 < share.min() < 0.11 and 0.19 < share.max() < 0.21
    assert 0.45 < ratio.min() < 0.55 and 1.8 < ratio.max() < 2.2
    first = covered.any(2).argmax(1)[erased]
    assert first.min() == 0 and (first + rows).max() == 40


def test_erasing_by_noise_hides_keypoints_under_it():
    image = np.full((8, 16, 16, 3), 2, np.float32)
    places = np.arange(16) + 0.5
    x, y = np.meshgrid(places, places)
    points = np.stack([x, y, np.full_like(x, 2)], -1).reshape(1, 1, 256, 3)
    points = np.repeat(points, 8, axis=0).astype(np.float32)
    points[:, :, ::7, 2] = 0
    before = {'image': image, 'keypoints': points, 'boxes': np.zeros((8, 1, 4))}
    after = RandomErasing(probability=1)(KEY, before)
    covered = np.asarray(after['image'] < 2).all(-1)
    assert (covered.sum((1, 2)) > 3).all()
    noise = np.asarray(after['image'])[covered]
    assert 0.4 < noise.mean() < 0.6 and 0.2 < noise.std() < 0.4
    hidden = covered.reshape(8, 1, 256) & (points[..., 2] > 0)
    np.testing.assert_array_equal(after['keypoints'][..., 2] == 1, hidden)
    np.testing.assert_array_equal(after['keypoints'][..., :2], points[..., :2])
    assert after['boxes'] is before['boxes']


def test_a_policy_draws_different_operations_all_as_often():
    chosen, way = RandAugment(num_ops=3).draw(KEY, 2000)
    chosen = np.array(list(chosen.values()))
    assert len(chosen) == 14 and (chosen.sum(0) == 3).all()
    assert np.abs(chosen.mean(1) - 3 / 14).max() < 0.05
    assert set(np.unique(list(way.values()))) == {-1, 1}


@pytest.mark.parametrize(
    ('name', 'reference'),
    [
        ('posterize', lambda image, _: ImageOps.posterize(image, 6)),
        ('solarize', lambda image, _: ImageOps.solarize(image, 128)),
        ('contrast', lambda im, way: ImageEnhance.Contrast(im).enhance(1 + 0.45 * way)),
        (
            'translate_x',
            lambda im, way: im.transform(
                im.size, 0, (1, 0, -way * 75 / 331 * 32, 0, 1, 0), 2
            ),
        ),
    ],
)
def test_a_policy_of_one_operation_equals_pillow(name, reference):
    levels = photographs()
    function = RandAugment(num_ops=1, magnitude=15, operations=(name,))
    way = function.draw(KEY, 4)[1][name].tolist()
    after = jax.jit(function)(KEY, {'image': floats(levels)})['image']
    for row in range(4):
        expected = np.asarray(reference(Image.fromarray(levels[row]), way[row]))
        assert np.abs(after[row] * 255 - expected).max() <= 2.01


def test_a_policy_does_everything_that_was_drawn_in_its_order():
    image = floats(photographs())
    names = ('solarize', 'posterize', 'brightness')
    function = RandAugment(num_ops=3, magnitude=30, operations=names)
    way = function.draw(KEY, 4)[1]
    expected = tones.solarize(tones.posterize(image, 4), 0)
    expected = colour.adjust_brightness(expected, 1 + 0.9 * way['brightness'])
    after = function(KEY, {'image': image})['image']
    np.testing.assert_allclose(after, expected, atol=1e-6)


def test_a_policy_cannot_draw_more_than_there_is():
    assert set(policies.OPERATIONS) == {'identity', *policies.TONES, *policies.MOTIONS}
    with pytest.raises(UserError, match='num_ops is 3, but there are only 2'):
        RandAugment(num_ops=3, operations=('identity', 'rotate'))
