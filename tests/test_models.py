"""Every model of the table has the same properties; and each its published size."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import models
from models import MLP, Classifier, Net, ResNet

# He et al. 2016a, counted by torchvision at 1,000 classes and three channels.
PARAMETERS = {
    'resnet18': 11_689_512,
    'resnet34': 21_797_672,
    'resnet50': 25_557_032,
    'resnet101': 44_549_160,
    'resnet152': 60_192_808,
    'mlp': 224 * 224 * 3 * 256 + 256 + 256 * 256 + 256 + 256 * 1000 + 1000,
}
BACKBONES = {
    'mlp': functools.partial(MLP, hidden_dim=16, dropout=0.5),
    'resnet18-small': functools.partial(ResNet, depth=18, stem='small'),
    'resnet18-imagenet': functools.partial(ResNet, depth=18),
    'resnet50-small': functools.partial(ResNet, depth=50, stem='small'),
}
SMALL = ['mlp', 'resnet18-small']


def describe(backbone, shape=(8, 8, 1), num_outputs=3, dtype='float32'):
    return functools.partial(
        Net,
        BACKBONES[backbone],
        Classifier,
        dtype,
        input_shape=shape,
        num_outputs=num_outputs,
    )


@functools.cache
def build(backbone, shape=(8, 8, 1), dtype='float32', seed=0):
    net = describe(backbone, shape, dtype=dtype)
    key = jax.random.key(seed, impl='unsafe_rbg')
    return jax.jit(lambda key: nnx.split(net(rngs=nnx.Rngs(key))))(key)


def make(*args, **kwargs):
    """A net of its own for each test, from weights that are drawn once."""
    return nnx.merge(*build(*args, **kwargs), copy=True)


def draw(*shape):
    return jax.random.normal(jax.random.key(1), shape)


def evaluating(model):
    return nnx.view(
        model, deterministic=True, use_running_average=True, raise_if_not_found=False
    )


@jax.jit
def apply(model, images):
    return model(images)


def count(model):
    params = jax.tree.leaves(nnx.state(model, nnx.Param))
    return sum(math.prod(leaf.shape) for leaf in params)


@pytest.mark.parametrize('name', models.list_models())
def test_number_of_parameters_is_the_published_one(name):
    assert count(nnx.eval_shape(lambda: models.create_model(name))) == PARAMETERS[name]


@pytest.mark.parametrize('shape', [(8, 8, 1), (7, 13, 3), (33, 32, 3), (1, 1, 2)])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_maps_agree_with_channels_and_strides(backbone, shape):
    model = nnx.eval_shape(lambda: describe(backbone, shape)(rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    maps = nnx.eval_shape(lambda model, images: model.features(images), model, images)
    logits = nnx.eval_shape(lambda model, images: model(images), model, images)
    assert (logits.shape, logits.dtype) == ((2, 3), jnp.float32)
    net = model.backbone
    assert tuple(part.shape[-1] for part in maps) == net.channels
    for part, stride in zip(maps, net.strides, strict=True):
        sizes = [-(-size // stride) for size in shape[:2]]
        assert list(part.shape[1:-1]) == (sizes if part.ndim == 4 else [])


@pytest.mark.parametrize('backbone', ['mlp', 'resnet18-small', 'resnet18-imagenet'])
def test_gradient_is_finite_and_reaches_every_parameter(backbone):
    graph, params, rest = nnx.split(make(backbone, (9, 10, 3)), nnx.Param, ...)

    @jax.jit
    @jax.grad
    def gradient(params):
        model = nnx.merge(graph, params, rest, copy=True)
        return jnp.sum(model(draw(4, 9, 10, 3)) * draw(4, 3))

    for path, leaf in jax.tree.leaves_with_path(gradient(params)):
        assert jnp.isfinite(leaf).all() and jnp.any(leaf != 0), path


@pytest.mark.parametrize('backbone', SMALL)
def test_training_differs_from_evaluation(backbone):
    model, images = make(backbone), draw(4, 8, 8, 1)
    trained, evaluated = model(images), evaluating(make(backbone))(images)
    assert jnp.isfinite(trained).all() and jnp.isfinite(evaluated).all()
    assert not jnp.allclose(trained, evaluated, atol=1e-3)


@pytest.mark.parametrize('backbone', SMALL)
def test_jit_changes_nothing(backbone):
    images = draw(4, 8, 8, 1)
    eager = make(backbone)(images)
    np.testing.assert_allclose(apply(make(backbone), images), eager, atol=1e-4)


@pytest.mark.parametrize('backbone', SMALL)
def test_images_of_a_batch_do_not_meet_in_evaluation(backbone):
    model, images = evaluating(make(backbone)), draw(4, 8, 8, 1)
    alone = [apply(model, image[None])[0] for image in images]
    np.testing.assert_allclose(apply(model, images), jnp.stack(alone), atol=1e-5)


@pytest.mark.parametrize('backbone', SMALL)
def test_bfloat16_is_close_and_keeps_parameters_in_float32(backbone):
    images = draw(4, 8, 8, 1)
    exact = apply(evaluating(make(backbone)), images)
    model = make(backbone, dtype='bfloat16')
    assert model.features(images)[-1].dtype == jnp.bfloat16
    rounded = apply(evaluating(make(backbone, dtype='bfloat16')), images)
    assert rounded.dtype == jnp.float32
    scale = float(jnp.abs(exact).max())
    np.testing.assert_allclose(rounded, exact, atol=0.05 * scale)
    kept = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype('float32')}


@pytest.mark.parametrize('impl', ['threefry2x32', 'rbg', 'unsafe_rbg'])
def test_any_kind_of_key_draws_weights(impl):
    net = describe('mlp')
    model = jax.jit(lambda key: net(rngs=nnx.Rngs(key)))(jax.random.key(0, impl=impl))
    assert jnp.isfinite(model(draw(2, 8, 8, 1))).all()


def test_same_seed_same_weights_and_another_seed_others():
    def weights(seed):
        model = models.create_model('mlp', 3, seed, input_shape=(4, 4, 1))
        return nnx.state(model, nnx.Param)

    same = jax.tree.map(jnp.array_equal, weights(0), weights(0))
    other = jax.tree.map(jnp.array_equal, weights(0), weights(1))
    assert all(jax.tree.leaves(same)) and not all(jax.tree.leaves(other))


def test_created_model_gives_logits():
    model = models.create_model('mlp', num_classes=7, input_shape=(5, 6, 2))
    assert model(draw(3, 5, 6, 2)).shape == (3, 7)


def test_head_drops_only_in_training():
    head = Classifier((8,), 3, strides=(4,), dropout=0.5, rngs=nnx.Rngs(0))
    maps = [draw(2, 4, 4, 8)]
    assert not jnp.array_equal(head(maps), head(maps))
    view = evaluating(head)
    pooled = maps[-1].mean((1, 2)) @ head.dense.kernel[...] + head.dense.bias[...]
    np.testing.assert_allclose(view(maps), pooled, atol=1e-5)


def test_models_are_listed_by_pattern():
    assert models.list_models('resnet?0') == ['resnet50']
    assert models.list_models('*1*') == ['resnet18', 'resnet101', 'resnet152']
    assert models.list_models('vgg*') == []


def make_resnet(**wrong):
    return ResNet((8, 8, 1), **wrong, rngs=nnx.Rngs(0))


def make_mlp(**wrong):
    return MLP((8, 8, 1), **wrong, rngs=nnx.Rngs(0))


WRONG = {
    'ResNet has no depth 20; choose 18, 34, 50, 101 or 152.': lambda: make_resnet(
        depth=20
    ),
    "ResNet has no stem 'tiny'; choose 'imagenet' or 'small'.": lambda: make_resnet(
        stem='tiny'
    ),
    'MLP needs hidden_dim of at least 1; got 0.': lambda: make_mlp(hidden_dim=0),
    'MLP needs num_layers of at least 1; got -1.': lambda: make_mlp(num_layers=-1),
    'MLP needs dropout in [0, 1); got 1.5.': lambda: make_mlp(dropout=1.5),
    'Classifier needs dropout in [0, 1); got 1.': lambda: Classifier(
        (8,), 3, strides=(4,), dropout=1, rngs=nnx.Rngs(0)
    ),
    "Net has no dtype 'bfloat'; choose 'float32', 'bfloat16' or 'float16'.": (
        lambda: describe('mlp', dtype='bfloat')(rngs=nnx.Rngs(0))
    ),
    "No model is called 'resnt18'; nearest: resnet18": lambda: models.create_model(
        'resnt18'
    ),
    "No model is called 'vgg'; nearest: ": lambda: models.create_model('vgg'),
}


@pytest.mark.parametrize('message', WRONG)
def test_a_wrong_argument_says_what_would_be_right(message):
    with pytest.raises(ValueError) as raised:
        WRONG[message]()
    assert str(raised.value).startswith(message)
    assert '\n' not in str(raised.value)
