"""What every augmentation promises: same key same picture, and nothing else touched."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from trainer import augment
from trainer.augment import (
    Affine,
    ColourJitter,
    CutMix,
    FlipLeftRight,
    FlipUpDown,
    Grayscale,
    Mixup,
    MixupOrCutMix,
    PadCrop,
    RandAugment,
    RandomErasing,
)
from trainer.errors import UserError
from trainer.lint import names, rooms

KEY = jax.random.key(5)
PLAIN = [
    PadCrop(pad=1),
    PadCrop(pad=3),
    FlipLeftRight(),
    FlipUpDown(),
    Affine(zoom=1.3, shear=5, shift=0.1),
    ColourJitter(),
    Grayscale(),
    RandomErasing(),
    RandomErasing(fill=0.5),
    RandAugment(),
]
MIXING = [Mixup(), CutMix(), MixupOrCutMix()]


def batch(size=32, channels=3):
    rng = np.random.default_rng(0)
    return {
        'image': rng.random((size, 6, 8, channels), np.float32),
        'label': np.arange(size, dtype=np.int32),
        'mask': np.arange(size) < size - 2,
    }


@functools.cache
def jitted(function):
    return jax.jit(function)


@pytest.mark.parametrize('function', PLAIN + MIXING, ids=str)
def test_shape_type_and_everything_else_stay(function):
    before = batch()
    after = jitted(function)(KEY, before)
    added = {'label_b', 'mix'} if function in MIXING else set()
    assert {*after} == {*before} | added
    assert after['image'].shape == before['image'].shape
    assert after['image'].dtype == np.float32
    assert after['image'].min() >= -1e-6 and after['image'].max() <= 1 + 1e-6
    for field in ('mask',) if function in MIXING else ('label', 'mask'):
        np.testing.assert_array_equal(after[field], before[field])


@pytest.mark.parametrize('function', PLAIN + MIXING, ids=str)
def test_the_same_key_gives_the_same_picture_with_jit_and_without(function):
    before, run = batch(), jitted(function)
    eager, first, again = function(KEY, before), run(KEY, before), run(KEY, before)
    for field in eager:
        np.testing.assert_array_equal(first[field], again[field])
        np.testing.assert_allclose(first[field], eager[field], rtol=0, atol=2e-6)
    other = run(jax.random.key(6), before)['image']
    assert (first['image'] != other).any()


@pytest.mark.parametrize('function', PLAIN, ids=str)
def test_each_picture_has_chance_of_its_own(function):
    """Equal pictures do not stay equal, and none depends on the others."""
    before, run = batch(), jitted(function)
    before['image'] = np.repeat(before['image'][:1], len(before['mask']), axis=0)
    after = np.asarray(run(KEY, before)['image'])
    assert (after != after[0]).any()
    before['image'][1:] = 0
    alone = np.asarray(run(KEY, before)['image'])
    np.testing.assert_array_equal(alone[0], after[0])


@pytest.mark.parametrize('function', [ColourJitter(), Grayscale(), RandAugment()])
def test_grey_pictures_keep_their_one_channel(function):
    before = batch(channels=1)
    after = jitted(function)(KEY, before)['image']
    assert after.shape == before['image'].shape
    assert function == Grayscale() or (after != before['image']).any()


@pytest.mark.parametrize('function', [f for f in PLAIN + MIXING if f != Mixup()])
def test_feature_vectors_are_refused_in_one_line(function):
    name = type(function).__name__
    before = batch() | {'image': np.zeros((32, 5), np.float32)}
    with pytest.raises(UserError, match=rf'{name} needs pictures.*\(32, 5\)'):
        function(KEY, before)


@pytest.mark.parametrize('function', [ColourJitter(), Grayscale(), RandAugment()])
def test_colours_of_many_channels_are_refused(function):
    with pytest.raises(UserError, match='1 or 3 channels, but these have 4'):
        function(KEY, batch(channels=4))


@pytest.mark.parametrize('name', augment.__all__[:-1])
def test_a_config_can_name_each_and_is_checked(name):
    rooms.import_rooms()
    (full,) = names.matching(name)
    signature = names.signature(full)
    fields = {field.name for field in dataclasses.fields(getattr(augment, name))}
    assert {p.name for p in signature.parameters.values() if p.annotated} == fields


def test_what_can_be_prepared_is_given_the_data():
    class Data:
        flip_pairs = ((0, 1),)

    def own(key, batch):
        return batch

    flip, crop, same = augment.prepared([FlipLeftRight(), PadCrop(), own], Data())
    assert flip == FlipLeftRight(pairs=((0, 1),))
    assert crop == PadCrop() and same is own
    (kept,) = augment.prepared([FlipUpDown(pairs=((2, 3),))], Data())
    assert kept.pairs == ((2, 3),)
