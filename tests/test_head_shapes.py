"""Every head works on every backbone: what it gives; a custom net in ten lines."""

import functools
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from models import (
    MLP,
    Classifier,
    Detector,
    EfficientNet,
    KeypointHead,
    KeypointRCNN,
    Net,
    Regressor,
    ResNet,
    Segmenter,
    UNet,
    ViT,
)
from models.blocks import ConvNorm
from models.streams import make_rngs

BACKBONES = {
    'resnet18': functools.partial(ResNet, depth=18, stem='small'),
    'resnet18-imagenet': functools.partial(ResNet, depth=18),
    'unet': functools.partial(UNet, width=4, depth=2),
    'efficientnet_b0': EfficientNet,
    'vit': functools.partial(ViT, size='Ti/4'),
    'mlp': functools.partial(MLP, hidden_dim=16),
}
PLACED = [name for name in BACKBONES if name != 'mlp']
SHAPES = [(8, 8, 1), (33, 21, 3)]


def abstract(net, *shape):
    """Shapes of what a net gives, with nothing computed."""
    model = nnx.eval_shape(lambda: net(rngs=make_rngs(0)))
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return nnx.eval_shape(lambda model, images: model(images), model, images)


@functools.cache
def seen(backbone, shape):
    """Channels, strides and shapes of a backbone's maps of two images."""
    model = nnx.eval_shape(lambda: BACKBONES[backbone](shape, rngs=make_rngs(0)))
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    maps = nnx.eval_shape(lambda model, images: model(images), model, images)
    return model.channels, model.strides, maps


def on(backbone, head, shape, num_outputs=3):
    """Shapes of what a head gives on a backbone, and the head."""
    channels, strides, maps = seen(backbone, shape)
    model = nnx.eval_shape(
        lambda: head(channels, num_outputs, strides=strides, rngs=make_rngs(0))
    )
    return nnx.eval_shape(lambda model, maps: model(maps), model, maps), model


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('head', [Classifier, Regressor])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_a_pooled_head_gives_a_vector(backbone, head, shape):
    outputs, _ = on(backbone, head, shape)
    assert (outputs.shape, outputs.dtype) == ((2, 3), jnp.float32)


def test_a_regressor_takes_feature_vectors():
    net = functools.partial(Net, MLP, Regressor, input_shape=(7,), num_outputs=2)
    outputs = abstract(net, 5, 7)
    assert (outputs.shape, outputs.dtype) == ((5, 2), jnp.float32)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('backbone', PLACED)
def test_a_segmenter_covers_the_image(backbone, shape):
    logits, head = on(backbone, Segmenter, shape)
    stride = head.neck.stride
    sides = [stride * math.ceil(side / stride) for side in shape[:2]]
    assert (logits.shape, logits.dtype) == ((2, *sides, 3), jnp.float32)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('backbone', PLACED)
def test_heat_maps_have_the_finest_maps_size(backbone, shape):
    maps, head = on(backbone, KeypointHead, shape)
    assert head.stride == seen(backbone, shape)[1][0]
    sides = [math.ceil(side / head.stride) for side in shape[:2]]
    assert (maps.shape, maps.dtype) == ((2, *sides, 3), jnp.float32)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('backbone', PLACED)
def test_a_detector_gives_three_maps_of_one_size(backbone, shape):
    outputs, head = on(backbone, Detector, shape)
    sides = [math.ceil(side / head.stride) for side in shape[:2]]
    assert {name: maps.shape for name, maps in outputs.items()} == {
        'heatmap': (2, *sides, 3),
        'size': (2, *sides, 2),
        'offset': (2, *sides, 2),
    }
    assert {maps.dtype for maps in outputs.values()} == {jnp.dtype('float32')}


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('backbone', PLACED)
def test_a_keypoint_rcnn_looks_into_regions_of_any_map(backbone, shape):
    channels, strides, maps = seen(backbone, shape)
    make = functools.partial(KeypointRCNN, channels, (3, 4), depth=1, width=8)
    model = nnx.eval_shape(lambda: make(strides=strides, rngs=make_rngs(0)))
    regions = jnp.zeros((2, 5, 4))
    outputs = nnx.eval_shape(
        lambda model, maps: model(maps, regions=lambda _: regions), model, maps
    )
    assert outputs['points'].shape == (2, 5, 56, 56, 4)
    sides = [math.ceil(side / model.stride) for side in shape[:2]]
    assert outputs['heatmap'].shape == (2, *sides, 3)


@pytest.mark.parametrize('head', [KeypointHead, Detector])
def test_output_stride_leaves_finer_maps_out(head):
    coarser = functools.partial(head, output_stride=4)
    outputs, head = on('resnet18', coarser, SHAPES[1])
    assert jax.tree.leaves(outputs)[0].shape[:3] == (2, 9, 6)
    assert head.stride == 4 and len(head.neck.fpn.laterals) == 2


def test_a_custom_model_is_a_backbone_and_a_head_in_ten_lines():
    class Tiny(nnx.Module):
        def __init__(self, input_shape, *, dtype, rngs):
            self.channels, self.strides = (8, 16), (2, 4)
            self.conv1 = ConvNorm(input_shape[-1], 8, 3, 2, dtype=dtype, rngs=rngs)
            self.conv2 = ConvNorm(8, 16, 3, 2, dtype=dtype, rngs=rngs)

        def __call__(self, images):
            fine = self.conv1(images)
            return [fine, self.conv2(fine)]

    net = functools.partial(Net, Tiny, Segmenter, input_shape=(9, 10, 3), num_outputs=4)
    assert abstract(net, 2, 9, 10, 3).shape == (2, 10, 10, 4)


@pytest.mark.slow
@pytest.mark.parametrize('head', [Segmenter, KeypointHead, Detector])
@pytest.mark.parametrize('backbone', ['resnet18', 'unet', 'efficientnet_b0'])
def test_gradients_reach_every_parameter_of_whole_nets(backbone, head):
    def build(key):
        options = {'input_shape': (32, 32, 3), 'num_outputs': 2}
        return Net(BACKBONES[backbone], head, **options, rngs=make_rngs(key))

    model = jax.jit(build)(jax.random.key(0, impl='unsafe_rbg'))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    @jax.grad
    def gradient(params, images):
        outputs = nnx.merge(graph, params, rest, copy=True)(images)
        return sum(jnp.sum(jnp.sin(o)) for o in jax.tree.leaves(outputs))

    images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
    for path, leaf in jax.tree.leaves_with_path(gradient(params, images)):
        assert jnp.isfinite(leaf).all() and jnp.any(leaf != 0), path
