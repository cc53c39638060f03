"""What moves pixels, against numpy and Pillow; labels, against what was drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from trainer.augment import Affine, FlipLeftRight, FlipUpDown, PadCrop, RandAugment
from trainer.augment.warp import about_centre, compose, rotation, shear, warp, zoom
from trainer.data.objects import pack_objects
from trainer.data.source import IGNORE
from trainer.errors import UserError

KEY = jax.random.key(5)
MOTIONS = ('identity', 'shear_x', 'shear_y', 'rotate', 'translate_x', 'translate_y')
MOVING = [
    PadCrop(pad=9),
    FlipLeftRight(pairs=((0, 1),)),
    FlipUpDown(pairs=((0, 1),)),
    Affine(degrees=40, zoom=1.2, shear=10, shift=0.1),
    RandAugment(magnitude=20, num_ops=3, operations=MOTIONS),
]


def noise(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize('pad', [1, 3])
def test_pad_crop_equals_padding_and_cutting(pad):
    before = noise(32, 6, 8, 3)
    after = PadCrop(pad=pad)(KEY, {'image': before})['image']
    corners = np.asarray(jax.random.randint(KEY, (32, 2), 0, 2 * pad + 1))
    padded = np.pad(before, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    for row, (top, left) in enumerate(corners):
        expected = padded[row, top : top + 6, left : left + 8]
        np.testing.assert_array_equal(after[row], expected)
    assert set(corners.ravel().tolist()) == set(range(2 * pad + 1))


@pytest.mark.parametrize(('flip', 'axis'), [(FlipLeftRight, 1), (FlipUpDown, 0)])
def test_flip_equals_reversing_the_chosen_ones(flip, axis):
    before = noise(32, 6, 8, 3)
    after = np.asarray(flip()(KEY, {'image': before})['image'])
    flipped = np.array([(a != b).any() for a, b in zip(after, before, strict=True)])
    assert 4 < flipped.sum() < 28
    np.testing.assert_array_equal(after[flipped], np.flip(before[flipped], 1 + axis))
    np.testing.assert_array_equal(after[~flipped], before[~flipped])


@pytest.mark.parametrize(('probability', 'step'), [(0.0, 1), (1.0, -1)])
def test_flip_never_and_always(probability, step):
    before = noise(8, 6, 8, 3)
    after = FlipLeftRight(probability=probability)(KEY, {'image': before})['image']
    np.testing.assert_array_equal(after, before[:, :, ::step])


def pillow(picture, matrix, method):
    """The picture moved by Pillow, which wants the way back."""
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]).astype(np.float64))
    moved = Image.fromarray(picture).transform(
        picture.shape[1::-1], Image.Transform.AFFINE, back[:2].ravel(), method
    )
    return np.asarray(moved)


def some_motions(count, height, width):
    rng = np.random.default_rng(3)
    draw = jnp.asarray(rng.uniform(-0.5, 0.5, (6, count)), jnp.float32)
    turn = compose(zoom(1 + draw[0]), shear(draw[1], draw[2]), rotation(draw[3]))
    return about_centre(height, width, turn, 10 * draw[4:].T)


def test_warp_equals_pillow():
    pictures = np.random.default_rng(0).integers(0, 256, (12, 24, 30), np.uint8)
    matrices = some_motions(12, 24, 30)
    image = pictures[..., None].astype(np.float32)
    bilinear = jax.jit(warp)(image, matrices, 0)[..., 0]
    nearest = jax.jit(warp)(pictures[..., None], matrices, 0)[..., 0]
    assert nearest.dtype == np.uint8
    for row, matrix in enumerate(np.asarray(matrices)):
        expected = pillow(pictures[row], matrix, Image.Resampling.BILINEAR)
        assert np.abs(bilinear[row] - expected).max() <= 1.01  # Pillow rounds
        expected = pillow(pictures[row], matrix, Image.Resampling.NEAREST)
        assert (nearest[row] != expected).mean() < 0.005  # a tie may fall either way


def test_warp_by_nothing_and_by_whole_pixels_is_exact():
    image = noise(2, 6, 8, 3)
    still = about_centre(6, 8, jnp.stack([jnp.eye(2)] * 2), jnp.array([[0, 0], [2, 1]]))
    after = np.asarray(warp(image, still, 0.5))
    np.testing.assert_array_equal(after[0], image[0])
    np.testing.assert_array_equal(after[1, 1:, 2:], image[1, :-1, :-2])
    assert (after[1, 0] == 0.5).all() and (after[1, :, :2] == 0.5).all()


def test_a_rotation_by_a_right_angle_is_one():
    image = noise(1, 8, 8, 3)
    turn = about_centre(8, 8, rotation(jnp.array([jnp.pi / 2])), jnp.zeros((1, 2)))
    np.testing.assert_allclose(
        warp(image, turn, 0)[0], np.rot90(image[0], -1), atol=1e-5
    )


BOXES = np.array([(10, 8, 22, 30), (26, 30, 40, 44), (4, 36, 14, 46)], np.float32)


def drawn(count=24, size=48):
    """Pictures of three boxes, each in a channel of its own, and two keypoints each."""
    image = np.zeros((size, size, 3), np.float32)
    segmentation = np.zeros((size, size), np.uint8)
    keypoints = []
    for channel, (y0, x0, y1, x1) in enumerate(BOXES.astype(int)):
        image[y0:y1, x0:x1, channel] = 1
        segmentation[y0:y1, x0:x1] = channel + 1
        keypoints.append([(x0 + 3, y0 + 3, 2), (x1 - 3, y1 - 3, 1)])
    example = {'image': image, 'segmentation': segmentation} | pack_objects(
        4, BOXES, [0, 1, 2], [264, 196, 100], keypoints=keypoints, num_keypoints=2
    )
    batch = {k: np.stack([v] * count) for k, v in example.items()}
    return batch | {'mask': np.arange(count) < count - 2}


@pytest.fixture(scope='module', params=MOVING, ids=lambda f: type(f).__name__)
def moved(request):
    before = drawn()
    after = jax.device_get(jax.jit(request.param)(KEY, before))
    assert {*after} == {*before}
    for field in before:
        assert after[field].dtype == before[field].dtype
        assert after[field].shape == before[field].shape
    np.testing.assert_array_equal(after['mask'], before['mask'])
    return after


def test_boxes_hold_what_was_drawn(moved):
    """Exactly where the box is whole, nowhere outside of it where it is cut."""
    tight = 0
    for row, boxes in enumerate(moved['boxes']):
        for thing, (y0, x0, y1, x1) in enumerate(boxes[:3]):
            pixels = np.argwhere(moved['image'][row, ..., thing] > 0.6)
            if moved['box_labels'][row, thing] < 0:
                assert len(pixels) < 60 and not boxes[thing].any()
                continue
            assert moved['box_labels'][row, thing] == thing
            low, high = pixels.min(0), pixels.max(0) + 1
            assert (low >= np.array([y0, x0]) - 0.6).all()
            assert (high <= np.array([y1, x1]) + 0.6).all()
            if min(y0, x0) > 0 and max(y1, x1) < 48:
                assert np.abs([*low, *high] - boxes[thing]).max() < 1.6
                tight += 1
        assert moved['box_labels'][row, 3] == -1
    assert tight > 24


def test_areas_count_what_was_drawn(moved):
    pixels = moved['image'].sum((1, 2))
    whole = (moved['box_labels'][:, :3] >= 0) & (moved['boxes'][:, :3, :2] > 0).all(-1)
    whole &= (moved['boxes'][:, :3, 2:] < 48).all(-1)
    np.testing.assert_allclose(moved['areas'][:, :3][whole], pixels[whole], rtol=0.02)
    assert not moved['areas'][moved['box_labels'] < 0].any()


def test_segmentation_lies_on_what_was_drawn(moved):
    segmentation, image = moved['segmentation'], moved['image']
    known = segmentation != IGNORE
    for thing in range(3):
        here, sure = segmentation == thing + 1, np.abs(image[..., thing] - 0.5) > 0.49
        assert here.any()
        np.testing.assert_array_equal(
            here[known & sure], image[known & sure][:, thing] > 0.5
        )
    assert not image[~known].any()


def test_keypoints_lie_on_what_was_drawn(moved):
    """Each is 3 pixels from two sides of its box: inside it, and near its corner."""
    seen = np.argwhere(moved['keypoints'][..., 2] > 0)
    assert len(seen) > 60
    for row, thing, point in seen:
        x, y, _ = moved['keypoints'][row, thing, point]
        pixel = moved['image'][row, min(int(y), 47), min(int(x), 47)]
        assert pixel[thing] > 0.9 and 0 <= x <= 48 >= y >= 0
    gone = moved['keypoints'][moved['keypoints'][..., 2] == 0]
    assert not gone.any()


@pytest.mark.parametrize(('flip', 'axis'), [(FlipLeftRight, 0), (FlipUpDown, 1)])
def test_a_flip_swaps_left_and_right(flip, axis):
    before = drawn(2)
    after = flip(probability=1, pairs=((0, 1),))(KEY, before)['keypoints'][0, :3]
    expected = before['keypoints'][0, :3, ::-1].copy()
    expected[..., axis] = 48 - expected[..., axis]
    np.testing.assert_array_equal(after, expected)
    kept = flip(probability=0, pairs=((0, 1),))(KEY, before)['keypoints']
    np.testing.assert_array_equal(kept, before['keypoints'])


def test_a_flip_must_know_its_pairs():
    with pytest.raises(UserError, match=r'set FlipLeftRight.pairs, such as'):
        FlipLeftRight()(KEY, drawn(2))
    with pytest.raises(UserError, match=r'pairs has \(1, 2\), but there are 2 keyp'):
        FlipUpDown(pairs=((1, 2),))(KEY, drawn(2))
    one = drawn(2)
    one['keypoints'] = one['keypoints'][:, :, :1]
    assert FlipLeftRight()(KEY, one)['keypoints'].shape == (2, 4, 1, 3)


def test_affine_keeps_to_its_limits():
    function = Affine(degrees=30, zoom=2, shear=0, shift=0.25)
    turn, shift = jax.device_get(function.draw(KEY, {'image': noise(500, 8, 16, 1)}))
    growth = np.sqrt(np.linalg.det(turn))
    angle = np.degrees(np.arctan2(turn[:, 1, 0], turn[:, 0, 0]))
    for values, limit in [(np.log2(growth), 1), (angle, 30), (shift, [4, 2])]:
        share = np.abs(values) / limit
        assert 0.95 < share.max() <= 1 + 1e-5
        assert np.abs(share.mean() - 0.5) < 0.05
