"""The parts of a net, each alone: shapes, normalisation, shortcuts, padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models.blocks import BasicBlock, Bottleneck, ConvNorm


def draw(*shape):
    return jax.random.normal(jax.random.key(0), shape)


@pytest.mark.parametrize('size', [1, 2, 5, 8])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('block', [BasicBlock, Bottleneck])
def test_a_block_widens_and_strides(block, stride, size):
    layer = nnx.eval_shape(lambda: block(6, 4, stride, rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, size, size, 6), jnp.float32)
    maps = nnx.eval_shape(lambda layer, images: layer(images), layer, images)
    halved = -(-size // stride)
    assert maps.shape == (2, halved, halved, 4 * block.expansion)


def test_output_is_normalised_then_cut_at_zero():
    images = 5 + 3 * draw(32, 4, 4, 3)
    maps = ConvNorm(3, 8, activation=None, rngs=nnx.Rngs(0))(images)
    np.testing.assert_allclose(maps.mean((0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(maps.std((0, 1, 2)), 1.0, atol=1e-3)
    rectified = ConvNorm(3, 8, rngs=nnx.Rngs(0))(images)
    np.testing.assert_allclose(rectified, jnp.maximum(maps, 0.0), atol=1e-6)


def test_running_statistics_move_a_tenth_towards_the_batch():
    layer = ConvNorm(3, 4, rngs=nnx.Rngs(0))
    images = draw(16, 4, 4, 3)
    maps = layer.conv(images)
    layer(images)
    mean, var = layer.norm.mean[...], layer.norm.var[...]
    np.testing.assert_allclose(mean, 0.1 * maps.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(var, 0.9 + 0.1 * maps.var((0, 1, 2)), atol=1e-5)


def test_statistics_keep_their_float32_digits_in_bfloat16():
    layer = ConvNorm(3, 4, activation=None, dtype='bfloat16', rngs=nnx.Rngs(0))
    layer.norm.mean[...] = jnp.full(4, 1.001953125)  # 1 + 2**-9: lost in bfloat16
    layer.conv.kernel[...] = jnp.zeros_like(layer.conv.kernel[...])
    view = nnx.view(layer, use_running_average=True)
    maps = view(draw(2, 4, 4, 3))
    expected = -1.001953125 / np.sqrt(1 + 1e-5)
    assert maps.dtype == jnp.bfloat16
    assert jnp.all(maps == jnp.bfloat16(expected))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(layer))} == {
        jnp.dtype('float32')
    }


def test_a_block_that_changes_no_shape_adds_its_input():
    block = BasicBlock(4, 4, rngs=nnx.Rngs(0))
    block.conv2.norm.scale[...] = jnp.zeros(4)
    images = draw(2, 4, 4, 4)
    np.testing.assert_allclose(block(images), nnx.relu(images), atol=1e-6)


def test_the_bottleneck_strides_on_its_3x3():
    block = nnx.eval_shape(lambda: Bottleneck(16, 4, 2, rngs=nnx.Rngs(0)))
    strides = block.conv1.conv.strides, block.conv2.conv.strides
    assert strides == (1, 2)


def test_weights_have_the_spread_of_he_et_al_over_the_outputs():
    layer = ConvNorm(16, 64, 3, rngs=nnx.Rngs(0))
    assert float(layer.conv.kernel[...].std()) == pytest.approx(
        np.sqrt(2 / (9 * 64)), rel=0.05
    )


def test_padding_is_torchs_and_not_same():
    layer = ConvNorm(1, 1, 3, 2, rngs=nnx.Rngs(0))
    layer.conv.kernel[...] = jnp.zeros((3, 3, 1, 1)).at[0, 0].set(1.0)
    # The first tap of the first window lies on the padding, above and left of it all.
    maps = layer.conv(jnp.ones((1, 4, 4, 1)))[0, :, :, 0]
    np.testing.assert_array_equal(maps, [[0.0, 0.0], [0.0, 1.0]])
