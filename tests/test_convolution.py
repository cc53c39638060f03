"""The convolution agrees with XLA's own, in value and gradients, on every small map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from models import convolution
from models.convolution import CHANNELS_LAST, convolve
from tests.pulled import assert_rounded_once, draw, values_and_gradients


def reference(images, kernel, strides, padding, **options):
    options = {'dimension_numbers': CHANNELS_LAST, **options}
    return lax.conv_general_dilated(images, kernel, strides, padding, **options)


def assert_same(images, kernel, strides, padding, **options):
    """Values and both gradients agree to float32 rounding."""
    options |= {'strides': strides, 'padding': padding}
    both = (
        values_and_gradients(function, images, kernel, **options)
        for function in (convolve, reference)
    )
    for ours, theirs in zip(*both, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        scale = max(1.0, float(jnp.abs(theirs).max(initial=0.0)))
        np.testing.assert_allclose(ours, theirs, atol=2e-6 * scale)


@pytest.mark.parametrize('size', range(1, 10))
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('taps', [1, 3, 7])
def test_agrees_with_xla_under_torch_padding(taps, stride, size):
    pads = ((taps // 2, taps // 2),) * 2
    images, kernel = draw(2, size, size, 3), draw(taps, taps, 3, 4, seed=1)
    assert_same(images, kernel, (stride, stride), pads)


@pytest.mark.parametrize('padding', ['SAME', 'VALID', ((0, 2), (3, 0)), ((1, 0),) * 2])
@pytest.mark.parametrize('strides', [(1, 1), (2, 1), (3, 2)])
def test_agrees_on_uneven_maps_kernels_and_paddings(padding, strides):
    images, kernel = draw(2, 4, 3, 3), draw(3, 2, 3, 5, seed=1)
    assert_same(images, kernel, strides, padding)


@pytest.mark.parametrize(
    'padding', ['SAME', 'VALID', ((1, 1), (1, 1)), ((0, 2), (3, 0))]
)
@pytest.mark.parametrize('strides, taps', [((1, 1), (3, 3)), ((2, 1), (3, 2))])
def test_kernels_larger_than_all_maps_agree(strides, taps, padding):
    images, kernel = draw(2, 5, 6, 3), draw(*taps, 3, 128, seed=1)
    assert_same(images, kernel, strides, padding)


@pytest.mark.parametrize('pads', [((1, 1), (1, 1)), ((0, 2), (2, 0))])
def test_padded_pointwise_kernels_agree(pads):
    assert_same(draw(2, 2, 2, 3), draw(1, 1, 3, 4, seed=1), (2, 1), pads)


@pytest.mark.parametrize(
    'options',
    [{'feature_group_count': 3}, {'rhs_dilation': (2, 2)}, {'lhs_dilation': (2, 2)}],
)
def test_what_is_not_plain_goes_to_xla(options):
    kernel = draw(3, 3, 3 // options.get('feature_group_count', 1), 6, seed=1)
    assert_same(draw(2, 2, 2, 3), kernel, (1, 1), ((1, 1), (1, 1)), **options)


def test_channels_first_goes_to_xla():
    options = {'dimension_numbers': ('NCHW', 'OIHW', 'NCHW')}
    images, kernel = draw(2, 3, 2, 2), draw(4, 3, 3, 3, seed=1)
    assert_same(images, kernel, (1, 1), ((1, 1), (1, 1)), **options)


def primitives(size, taps, stride=1, outputs=4, dtype='float32'):
    pads = ((taps // 2, taps // 2),) * 2
    shapes = (2, size, size, 3), (taps, taps, 3, outputs)
    shapes = [jnp.ones(shape, dtype) for shape in shapes]
    program = jax.make_jaxpr(lambda *a: convolve(*a, (stride, stride), pads))(*shapes)
    return str(program)


@pytest.mark.parametrize(
    'size, taps, stride, outputs',
    [(1, 3, 1, 4), (3, 3, 1, 4), (4, 3, 2, 4), (9, 1, 2, 4), (4, 3, 1, 32)],
)
def test_small_maps_and_pointwise_or_large_kernels_become_products(
    size, taps, stride, outputs, monkeypatch
):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'cpu')
    assert 'conv_general_dilated' not in primitives(size, taps, stride, outputs)


def test_large_maps_and_other_backends_stay_convolutions(monkeypatch):
    assert 'conv_general_dilated' in primitives(8, 3)
    assert 'conv_general_dilated' in primitives(4, 3, outputs=31)
    assert 'conv_general_dilated' in primitives(4, 3, outputs=32, dtype='bfloat16')
    monkeypatch.setattr(convolution.jax, 'default_backend', lambda: 'gpu')
    assert 'conv_general_dilated' in primitives(1, 3)


def test_one_pixel_meets_the_centre_tap_alone():
    kernel = draw(3, 3, 2, 2).at[1, 1].set(0.0)
    outputs = convolve(draw(5, 1, 1, 2), kernel, (1, 1), ((1, 1), (1, 1)))
    np.testing.assert_array_equal(outputs, jnp.zeros((5, 1, 1, 2)))


@pytest.mark.parametrize(
    'size, taps, stride', [(2, 3, 1), (3, 3, 1), (5, 3, 2), (6, 1, 2)]
)
def test_gradients_of_bfloat16_are_rounded_once(size, taps, stride):
    arrays = draw(8, size, size, 64), draw(taps, taps, 64, 32, seed=1)
    options = {'strides': (stride, stride), 'padding': ((taps // 2, taps // 2),) * 2}
    assert_rounded_once(convolve, reference, *arrays, **options)


def test_serves_a_flax_layer_in_bfloat16():
    layer = nnx.Conv(
        3,
        4,
        (3, 3),
        dtype=jnp.bfloat16,
        conv_general_dilated=convolve,
        rngs=nnx.Rngs(0),
    )
    outputs = layer(draw(2, 2, 2, 3))
    layer.conv_general_dilated = reference
    assert outputs.dtype == jnp.bfloat16
    difference = outputs.astype(jnp.float32) - layer(draw(2, 2, 2, 3))
    np.testing.assert_allclose(difference, 0.0, atol=0.03)
