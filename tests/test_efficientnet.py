"""EfficientNet: published sizes, maps, and its blocks alone."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from models import EfficientNet
from models.efficientnet import SCALES
from models.mbconv import MBConv, SqueezeExcite
from models.streams import make_rngs

# Counted by torchvision 0.28 at 1,000 classes (its documentation, `num_params`), which
# are those of Tan and Le 2019, table 2: 5.3M, 7.8M, 9.2M, 12M, 19M, 30M, 43M and 66M.
PARAMETERS = {
    'b0': 5_288_548,
    'b1': 7_794_184,
    'b2': 9_109_994,
    'b3': 12_233_232,
    'b4': 19_341_616,
    'b5': 30_389_784,
    'b6': 43_040_704,
    'b7': 66_347_960,
}


def draw(*shape, seed=1):
    return jax.random.normal(jax.random.key(seed), shape)


def abstract(variant, **options):
    return nnx.eval_shape(
        lambda: EfficientNet((8, 8, 3), variant, **options, rngs=make_rngs(0))
    )


@pytest.mark.parametrize('variant', SCALES)
def test_number_of_parameters_is_the_published_one(variant):
    name = f'efficientnet_{variant}'
    model = nnx.eval_shape(lambda: models.create_model(name))
    params = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert sum(math.prod(leaf.shape) for leaf in params) == PARAMETERS[variant]
    assert model.head.dropout.rate == SCALES[variant][2]
    # torchvision's weights from b5 on were trained with the epsilon of the authors.
    epsilon = 1e-3 if variant in ('b5', 'b6', 'b7') else 1e-5
    assert model.backbone.stem.norm.epsilon == epsilon


@pytest.mark.parametrize('stem', ['imagenet', 'small'])
@pytest.mark.parametrize('shape', [(33, 47, 3), (1, 1, 2)])
def test_maps_agree_with_channels_and_strides(shape, stem):
    net = functools.partial(EfficientNet, shape, stem=stem)
    model = nnx.eval_shape(lambda: net(rngs=make_rngs(0)))
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    maps = nnx.eval_shape(lambda model, images: model(images), model, images)
    first = 2 if stem == 'imagenet' else 1
    assert model.channels == (16, 24, 40, 112, 1280)
    assert model.strides == tuple(first * 2**level for level in range(5))
    for part, channels, stride in zip(maps, model.channels, model.strides, strict=True):
        sides = [-(-side // stride) for side in shape[:2]]
        assert part.shape == (2, *sides, channels)


def test_blocks_are_left_out_the_more_often_the_later_they_stand():
    blocks = [block for stage in abstract('b0').stages for block in stage]
    rates = [block.drop_path.dropout.rate for block in blocks]
    # torchvision and the authors' code: 0.2 x the block's place, of 16.
    expected = [0.2 * i / 16 if block.added else 0.0 for i, block in enumerate(blocks)]
    assert rates == pytest.approx(expected)
    assert max(rates) > 0.15


def test_a_squeeze_excitation_weighs_channels():
    layer, maps = SqueezeExcite(4, 2, rngs=make_rngs(0)), draw(2, 3, 3, 4)
    layer.expand.bias[...] = draw(4)
    squeezed = nnx.silu(maps.mean((1, 2)) @ layer.reduce.kernel[...])
    weights = nnx.sigmoid(squeezed @ layer.expand.kernel[...] + draw(4))
    np.testing.assert_allclose(layer(maps), maps * weights[:, None, None], atol=1e-6)


BLOCKS = {
    'added': (4, 4, 3, 1, 6),
    'strided': (4, 4, 5, 2, 6),
    'widened': (4, 6, 3, 1, 6),
    'unexpanded': (4, 6, 3, 1, 1),
}


@pytest.mark.parametrize('kind', BLOCKS)
def test_a_block_widens_strides_and_adds(kind):
    block = MBConv(*BLOCKS[kind], rngs=make_rngs(0))
    in_channels, out_channels, _, stride, expansion = BLOCKS[kind]
    assert (block.expand is None) == (expansion == 1)
    block.project.norm.scale[...] = jnp.zeros(out_channels)
    images = draw(2, 5, 6, in_channels)
    maps = block(images)
    assert maps.shape == (2, -(-5 // stride), -(-6 // stride), out_channels)
    np.testing.assert_allclose(maps, images if kind == 'added' else 0.0, atol=1e-6)


def test_what_is_left_out_is_the_branch():
    block, images = MBConv(4, 4, drop_path=0.5, rngs=make_rngs(0)), draw(64, 2, 2, 4)
    kept = jnp.any(block(images) != images, axis=(1, 2, 3))
    assert 16 < kept.sum() < 48


def test_gradient_reaches_every_parameter_of_a_block():
    block = MBConv(4, 4, rngs=make_rngs(0))
    graph, params, rest = nnx.split(block, nnx.Param, ...)

    @jax.jit
    @jax.grad
    def gradient(params):
        maps = nnx.merge(graph, params, rest, copy=True)(draw(3, 5, 6, 4))
        return jnp.sum(maps * draw(*maps.shape))

    for path, leaf in jax.tree.leaves_with_path(gradient(params)):
        assert jnp.isfinite(leaf).all() and jnp.any(leaf != 0), path


def test_a_block_works_in_bfloat16_on_float32_parameters():
    images = draw(3, 5, 6, 4)
    exact = MBConv(4, 6, rngs=make_rngs(0))(images)
    block = MBConv(4, 6, dtype='bfloat16', rngs=make_rngs(0))
    rounded = block(images.astype('bfloat16'))
    assert rounded.dtype == jnp.bfloat16
    assert jnp.linalg.norm(rounded - exact) < 0.02 * jnp.linalg.norm(exact)
    kept = nnx.state(block, nnx.Any(nnx.Param, nnx.BatchStat))
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype('float32')}


WRONG = {
    "EfficientNet has no variant 'b8'; choose 'b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6'"
    " or 'b7'.": {'variant': 'b8'},
    "EfficientNet has no stem 'tiny'; choose 'imagenet' or 'small'.": {'stem': 'tiny'},
    'EfficientNet needs drop_path in [0, 1); got 1.': {'drop_path': 1},
    'EfficientNet needs epsilon above 0; got 0.': {'epsilon': 0},
}


@pytest.mark.parametrize('message', WRONG)
def test_a_wrong_argument_says_what_would_be_right(message):
    with pytest.raises(ValueError) as raised:
        EfficientNet((8, 8, 1), **WRONG[message], rngs=make_rngs(0))
    assert str(raised.value) == message
