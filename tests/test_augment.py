"""Device augmentation against plain numpy."""

import jax
import numpy as np
import pytest

from trainer.augment import FlipLeftRight, PadCrop

KEY = jax.random.key(5)
AUGMENTS = [PadCrop(pad=1), PadCrop(pad=3), FlipLeftRight()]


def batch(size=32):
    rng = np.random.default_rng(0)
    return {
        'image': rng.random((size, 6, 8, 3), np.float32),
        'label': np.arange(size, dtype=np.int32),
        'mask': np.arange(size) < size - 2,
    }


@pytest.mark.parametrize('augment', AUGMENTS, ids=str)
def test_shape_type_and_everything_else_stay(augment):
    before = batch()
    after = jax.jit(augment)(KEY, before)
    assert sorted(after) == sorted(before)
    assert after['image'].shape == before['image'].shape
    assert after['image'].dtype == np.float32
    for key in ('label', 'mask'):
        np.testing.assert_array_equal(after[key], before[key])


@pytest.mark.parametrize('augment', AUGMENTS, ids=str)
def test_the_same_key_gives_the_same_picture(augment):
    first, again = (
        augment(KEY, batch())['image'],
        jax.jit(augment)(KEY, batch())['image'],
    )
    np.testing.assert_array_equal(first, again)
    other = augment(jax.random.key(6), batch())['image']
    assert (first != other).any()


@pytest.mark.parametrize('pad', [1, 3])
def test_pad_crop_equals_padding_and_cutting(pad):
    before = batch()['image']
    after = PadCrop(pad=pad)(KEY, batch())['image']
    corners = np.asarray(jax.random.randint(KEY, (len(before), 2), 0, 2 * pad + 1))
    padded = np.pad(before, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    for row, (top, left) in enumerate(corners):
        expected = padded[row, top : top + 6, left : left + 8]
        np.testing.assert_array_equal(after[row], expected)
    assert set(corners.ravel().tolist()) == set(range(2 * pad + 1))


def test_flip_equals_reversing_the_chosen_ones():
    before = batch()['image']
    after = np.asarray(FlipLeftRight()(KEY, batch())['image'])
    flipped = np.array([(a != b).any() for a, b in zip(after, before, strict=True)])
    assert 4 < flipped.sum() < 28
    np.testing.assert_array_equal(after[flipped], before[flipped][:, :, ::-1])


@pytest.mark.parametrize(('probability', 'step'), [(0.0, 1), (1.0, -1)])
def test_flip_never_and_always(probability, step):
    after = FlipLeftRight(probability=probability)(KEY, batch())['image']
    np.testing.assert_array_equal(after, batch()['image'][:, :, ::step])
