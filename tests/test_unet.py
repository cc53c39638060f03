"""U-Net: sizes come back, every map has a say, encoders of all kinds."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from models import MLP, ConvNeXt, EfficientNet, ResNet, UNet, ViT
from models.streams import make_rngs
from models.upsampling import interpolate

TINY = functools.partial(UNet, width=2, depth=1)
KINDS = {
    'transposed': TINY,
    'bilinear': functools.partial(TINY, upsampling='bilinear'),
    'group': functools.partial(TINY, norm='group'),
    'bridge': functools.partial(TINY, bridge=1),
}
ENCODERS = {
    'resnet18': functools.partial(ResNet, depth=18),
    'resnet18-small': functools.partial(ResNet, depth=18, stem='small'),
    'efficientnet_b0': EfficientNet,
    'convnext_t': ConvNeXt,
    'vit_ti4': functools.partial(ViT, size='Ti/4'),
}


def draw(*shape, seed=1):
    return jax.random.normal(jax.random.key(seed), shape)


@functools.cache
def build(kind, shape=(7, 6, 3), **options):
    make = functools.partial(KINDS[kind], shape, **options)
    key = jax.random.key(0, impl='unsafe_rbg')
    return jax.jit(lambda key: nnx.split(make(rngs=make_rngs(key))))(key)


def make(*args, **options):
    return nnx.merge(*build(*args, **options), copy=True)


@jax.jit
def finest(model, images):
    return model(images)[0]


def evaluating(model):
    return nnx.view(model, use_running_average=True, raise_if_not_found=False)


def abstract(unet, shape):
    """The net, and its maps of two images, with nothing computed."""
    model = nnx.eval_shape(lambda: unet(shape, rngs=make_rngs(0)))
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    return model, nnx.eval_shape(lambda model, images: model(images), model, images)


def assert_maps_as_said(model, maps, shape):
    assert [m.shape[-1] for m in maps] == list(model.channels)
    for m, stride in zip(maps, model.strides, strict=True):
        assert m.shape[1:3] == tuple(-(-side // stride) for side in shape[:2])


@pytest.mark.parametrize('shape', [(16, 16, 1), (13, 21, 3), (1, 1, 2)])
@pytest.mark.parametrize('upsampling', ['transposed', 'bilinear'])
def test_maps_have_all_strides_from_one_on(upsampling, shape):
    unet = functools.partial(UNet, width=4, depth=3, upsampling=upsampling)
    model, maps = abstract(unet, shape)
    assert model.strides == (1, 2, 4, 8)
    assert model.channels == (4, 8, 16, 32)
    assert_maps_as_said(model, maps, shape)


@pytest.mark.parametrize('shape', [(32, 32, 1), (45, 37, 3)])
@pytest.mark.parametrize('encoder', ENCODERS)
def test_any_backbone_is_an_encoder(encoder, shape):
    unet = functools.partial(UNet, width=4, encoder=ENCODERS[encoder])
    model, maps = abstract(unet, shape)
    assert model.strides[0] == 1 and model.channels[0] == 4
    assert_maps_as_said(model, maps, shape)


def test_the_way_up_ends_where_it_shall():
    model, maps = abstract(functools.partial(TINY, depth=3, output_stride=4), (9, 9, 1))
    assert (model.strides, model.channels) == ((4, 8), (8, 16))
    assert [m.shape for m in maps] == [(2, 3, 3, 8), (2, 2, 2, 16)]
    assert len(model.decoder.steps) == 1


def test_size_is_that_of_the_paper():
    """Convolutions counted by hand: no biases, two numbers a channel for each norm."""
    widths = [64, 128, 256, 512, 1024]

    def double_conv(inputs, outputs):
        return 9 * (inputs + outputs) * outputs + 4 * outputs

    down = sum(map(double_conv, [3, *widths[:-1]], widths))
    up = sum(double_conv(2 * width, width) for width in widths[:-1])
    enlarged = sum(4 * 2 * width * width + width for width in widths[:-1])
    model = nnx.eval_shape(lambda: models.create_model('unet', num_classes=2))
    params = jax.tree.leaves(nnx.state(model, nnx.Param))
    count = sum(math.prod(leaf.shape) for leaf in params)
    assert count == down + up + enlarged + 2 * 64 + 2 == 31_037_698


def test_created_net_gives_logits_of_each_pixel():
    model = nnx.eval_shape(lambda: models.create_model('unet', num_classes=5))
    images = jax.ShapeDtypeStruct((2, 13, 21, 3), jnp.float32)
    logits = nnx.eval_shape(lambda model, images: model(images), model, images)
    assert (logits.shape, logits.dtype) == ((2, 13, 21, 5), jnp.float32)


@pytest.mark.parametrize('kind', KINDS)
def test_gradient_of_the_finest_map_reaches_every_parameter(kind):
    graph, params, rest = nnx.split(make(kind), nnx.Param, ...)

    @jax.jit
    @jax.grad
    def gradient(params):
        maps = nnx.merge(graph, params, rest, copy=True)(draw(3, 7, 6, 3))
        return jnp.sum(maps[0] * draw(*maps[0].shape))

    for path, leaf in jax.tree.leaves_with_path(gradient(params)):
        assert jnp.isfinite(leaf).all() and jnp.any(leaf != 0), path


def test_images_of_a_batch_do_not_meet_in_evaluation():
    model, images = evaluating(make('transposed')), draw(3, 7, 6, 3)
    alone = jnp.concatenate([finest(model, image[None]) for image in images])
    np.testing.assert_allclose(finest(model, images), alone, atol=1e-5)


def test_group_normalisation_trains_as_it_evaluates():
    model, images = make('group'), draw(3, 7, 6, 3)
    alone = jnp.concatenate([finest(model, image[None]) for image in images])
    np.testing.assert_allclose(finest(model, images), alone, atol=1e-5)
    assert not jax.tree.leaves(nnx.state(model, nnx.BatchStat))


def test_bfloat16_is_close_and_keeps_parameters_in_float32():
    exact = finest(make('transposed'), draw(3, 7, 6, 3))
    model = make('transposed', dtype='bfloat16')
    rounded = finest(model, draw(3, 7, 6, 3))
    assert rounded.dtype == jnp.bfloat16
    assert jnp.linalg.norm(rounded - exact) < 0.05 * jnp.linalg.norm(exact)
    leaves = jax.tree.leaves(nnx.state(model))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype('float32')}


@pytest.mark.parametrize('encoder', ENCODERS)
def test_a_bridge_leaves_all_sizes_as_they_are(encoder):
    unet = functools.partial(UNet, width=4, encoder=ENCODERS[encoder], bridge=2)
    model, maps = abstract(unet, (45, 37, 3))
    assert_maps_as_said(model, maps, (45, 37, 3))
    assert len(model.bridge.blocks) == 2


@pytest.mark.parametrize('bridge', [0, 1])
def test_over_a_bridge_every_pixel_sees_every_other(bridge):
    """Without one a cell sees its neighbours, and the far corner is none."""
    unet = functools.partial(UNet, (64, 64, 1), width=2, depth=2, bridge=bridge)
    model = jax.jit(lambda key: unet(rngs=make_rngs(key)))(jax.random.key(0))
    model = evaluating(model)
    images = draw(1, 64, 64, 1)
    coarsest = [
        model(image)[-1] if bridge else model.encoder(image)[-1]
        for image in (images, images.at[0, 0, 0, 0].add(1.0))
    ]
    assert (coarsest[0][0, -1, -1] != coarsest[1][0, -1, -1]).all() == bool(bridge)


@pytest.mark.parametrize('kind', ['transposed', 'bridge'])
def test_computing_again_changes_nothing(kind):
    images = draw(3, 7, 6, 3)
    kept = finest(make(kind), images)
    again = finest(make(kind, remat=True), images)
    np.testing.assert_allclose(again, kept, atol=1e-6)


def test_pixels_are_interpolated_between_the_cells():
    row = interpolate(jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1))[0, 0, :, 0]
    np.testing.assert_allclose(row, [0.0, 1.0, 3.0, 4.0])


def wrong(**arguments):
    return UNet((8, 8, 1), **arguments, rngs=make_rngs(0))


WRONG = {
    'UNet needs width of at least 1; got 0.': {'width': 0},
    'UNet needs depth of at least 1; got 0.': {'depth': 0},
    "UNet has no norm 'instance'; choose 'batch' or 'group'.": {'norm': 'instance'},
    "UNet has no upsampling 'nearest'; choose 'transposed' or 'bilinear'.": {
        'upsampling': 'nearest'
    },
    'UNet has no output_stride 3; choose 1, 2 or 4.': {'depth': 2, 'output_stride': 3},
    'UNet needs bridge of at least 0; got -1.': {'bridge': -1},
    'Fixed positions need a multiple of 4 features; got 6.': {
        'width': 3,
        'depth': 1,
        'bridge': 1,
    },
    'UNet takes depth 3 or an encoder, not both': {'depth': 3, 'encoder': MLP},
    'UNet needs an encoder with maps whose strides are powers of two': {'encoder': MLP},
}


@pytest.mark.parametrize('message', WRONG)
def test_a_wrong_argument_says_what_would_be_right(message):
    with pytest.raises(ValueError) as raised:
        wrong(**WRONG[message])
    assert str(raised.value).startswith(message)
    assert '\n' not in str(raised.value)
