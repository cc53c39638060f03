"""The depthwise convolution agrees with XLA's own, and is taken where it pays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from models import convolution
from models.convolution import CHANNELS_LAST, convolve
from models.depthwise import depthwise
from tests.pulled import assert_rounded_once, draw, values_and_gradients


def reference(images, kernel, strides, padding):
    return lax.conv_general_dilated(
        images,
        kernel,
        strides,
        padding,
        dimension_numbers=CHANNELS_LAST,
        feature_group_count=images.shape[-1],
    )


CASES = [
    ((2, 5, 8, 3), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((2, 7, 6, 4), (5, 5), (2, 2), ((2, 2), (2, 2))),
    ((1, 1, 2, 5), (7, 7), (1, 1), ((3, 3), (3, 3))),
    ((2, 6, 7, 2), (2, 3), (3, 1), ((0, 1), (2, 0))),
    ((2, 4, 4, 2), (3, 3), (1, 2), ((0, 0), (0, 0))),
    ((2, 2, 4, 2), (3, 3), (1, 1), ((0, 0), (0, 0))),
]


@pytest.mark.parametrize('case', CASES, ids=str)
def test_agrees_with_xla_in_value_and_gradients(case):
    shape, taps, strides, padding = case
    arrays = draw(*shape), draw(*taps, 1, shape[-1], seed=1)
    ours, theirs = (
        values_and_gradients(function, *arrays, strides=strides, padding=padding)
        for function in (depthwise, reference)
    )
    for our, their in zip(ours, theirs, strict=True):
        assert our.shape == their.shape and our.dtype == their.dtype
        np.testing.assert_allclose(our, their, atol=1e-5)


def test_sums_of_bfloat16_are_float32():
    images, kernel = jnp.ones((1, 1, 1, 1), 'bfloat16'), draw(7, 7, 1, 1)
    maps = jnp.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), constant_values=1)
    kernel = kernel.astype('bfloat16')
    exact = kernel.astype('float32').sum().astype('bfloat16')
    ours = depthwise(maps, kernel, (1, 1), ((0, 0), (0, 0)))
    assert ours.dtype == jnp.bfloat16 and ours.item() == exact


@pytest.mark.parametrize(('size', 'taps'), [(7, 7), (28, 7), (8, 3)])
def test_gradients_of_bfloat16_are_rounded_once(size, taps):
    arrays = draw(2, size, size, 96), draw(taps, taps, 1, 96, seed=1)
    options = {'strides': (1, 1), 'padding': ((taps // 2, taps // 2),) * 2}
    assert_rounded_once(depthwise, reference, *arrays, **options)


@pytest.mark.parametrize(
    ('shape', 'groups', 'outputs', 'taken'),
    [
        ((1, 8, 8, 64), 64, 64, True),
        ((1, 2, 2, 64), 64, 64, False),  # too little to do
        ((1, 8, 8, 64), 64, 128, False),  # two kernels for each channel
        ((1, 8, 8, 64), 32, 64, False),
    ],
)
def test_is_taken_where_it_pays(monkeypatch, shape, groups, outputs, taken):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'cpu')
    monkeypatch.setattr(convolution, 'FEWEST_PRODUCTS', 9 * 8 * 8 * 64)
    images, kernel = draw(*shape), draw(3, 3, shape[-1] // groups, outputs, seed=1)
    options = {'padding': ((1, 1), (1, 1)), 'feature_group_count': groups}
    program = str(jax.make_jaxpr(lambda *a: convolve(*a, **options))(images, kernel))
    assert ('conv_general_dilated' not in program) is taken
    exact = lax.conv_general_dilated(
        images, kernel, (1, 1), dimension_numbers=CHANNELS_LAST, **options
    )
    np.testing.assert_allclose(convolve(images, kernel, **options), exact, atol=1e-4)
