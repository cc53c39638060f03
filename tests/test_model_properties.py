"""What holds for every net, proved on narrow ones: the same code, a few channels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import (
    MLP,
    Classifier,
    ConvNeXt,
    EfficientNet,
    Net,
    ResNet,
    ViT,
    convnext,
    efficientnet,
    resnet,
    vit,
)
from models.streams import make_rngs

NARROW = [
    (resnet, 'WIDTHS', (32, 64, 96, 128)),
    (resnet, 'STAGES', {k: (v[0], (1, 1, 1, 1)) for k, v in resnet.STAGES.items()}),
    (vit, 'SIZES', {'Ti': (16, 2, 2)}),
    (convnext, 'SIZES', {'T': ((8, 12, 16, 24), (1, 1, 1, 1))}),
    (efficientnet, 'STAGES', [(*row[:3], 8, 1) for row in efficientnet.STAGES]),
    (efficientnet, 'STEM', 8),
    (efficientnet, 'TOP', 24),
]
SMALL = {'stem': 'small'}
BACKBONES = {
    'mlp': functools.partial(MLP, hidden_dim=16, dropout=0.5),
    'resnet18': functools.partial(ResNet, depth=18, **SMALL),
    'resnet50-imagenet': functools.partial(ResNet, depth=50),
    'resnext50-group': functools.partial(
        ResNet, depth=50, width='32x4d', norm='group', **SMALL
    ),
    'vit-token': functools.partial(ViT, size='Ti/4', drop_path=0.5),
    'vit-mean': functools.partial(
        ViT, size='Ti/4', pooling='mean', positions='sincos', drop_path=0.5
    ),
    'convnext': functools.partial(ConvNeXt, size='T', drop_path=0.5),
    'efficientnet': functools.partial(EfficientNet, drop_path=0.5, **SMALL),
}
SHAPE = (9, 10, 3)
# Programs that run once: compiled in half the time.
jit = functools.partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})
COMPILED = ['mlp', 'resnet18', 'vit-token', 'convnext']
COMPILED += [
    pytest.param(n, marks=pytest.mark.slow) for n in BACKBONES if n not in COMPILED
]
# Group normalisation does in training what it does in evaluation.
RANDOM = [name for name in BACKBONES if not name.endswith('group')]


@pytest.fixture(scope='module', autouse=True)
def narrow():
    """A few channels and blocks in place of the papers' tables."""
    with pytest.MonkeyPatch.context() as patch:
        for module, table, rows in NARROW:
            patch.setattr(module, table, rows)
        yield


def describe(backbone, shape=SHAPE, dtype='float32', **options):
    make = functools.partial(BACKBONES[backbone], **options)
    outputs = {'input_shape': shape, 'num_outputs': 3}
    return functools.partial(Net, make, Classifier, dtype, **outputs)


def draw(*shape, seed=1):
    return jax.random.normal(jax.random.key(seed), shape)


@functools.cache
def build(backbone, dtype='float32', **options):
    """A split net whose biases and scales are drawn: at zero they hide mistakes."""
    net = describe(backbone, dtype=dtype, **options)

    @jit
    def make(key):
        graph, params, rest = nnx.split(net(rngs=make_rngs(key)), nnx.Param, ...)
        shift = jax.tree.map(lambda leaf: 0.3 * (leaf.ndim == 1), params)
        noise = jax.tree.map(lambda leaf: jax.random.normal(key, leaf.shape), params)
        params = jax.tree.map(lambda p, s, n: p + s * n, params, shift, noise)
        return graph, params, rest

    return make(jax.random.key(0, impl='unsafe_rbg'))


def make(*args, **options):
    """A net of its own for each test, from weights that are drawn once."""
    return nnx.merge(*build(*args, **options), copy=True)


def evaluating(model):
    return nnx.view(
        model, deterministic=True, use_running_average=True, raise_if_not_found=False
    )


@jit
def apply(model, images):
    return model(images)


@functools.cache
def train(backbone, **options):
    """(outputs, gradient) of a net in training, from one compiled program."""
    graph, params, rest = build(backbone, **options)

    @jit
    @functools.partial(jax.grad, has_aux=True)
    def gradient(params):
        model = nnx.merge(graph, params, rest, copy=True)
        outputs = model(draw(8, *SHAPE))
        return jnp.sum(outputs * draw(8, 3, seed=2)), outputs

    gradient, outputs = gradient(params)
    return outputs, gradient


@pytest.mark.parametrize('shape', [(8, 8, 1), (7, 13, 3), (33, 32, 3), (1, 1, 2)])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_maps_agree_with_channels_and_strides(backbone, shape):
    model = nnx.eval_shape(lambda: describe(backbone, shape)(rngs=make_rngs(0)))
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    maps = nnx.eval_shape(lambda model, images: model.features(images), model, images)
    net = model.backbone
    assert tuple(part.shape[-1] for part in maps) == net.channels
    for part, stride in zip(maps, net.strides, strict=True):
        sizes = [-(-size // stride) for size in shape[:2]] if stride else []
        assert list(part.shape[1:-1]) == sizes


@pytest.mark.parametrize('backbone', BACKBONES)
def test_gradient_is_finite_and_reaches_every_parameter(backbone):
    for path, leaf in jax.tree.leaves_with_path(train(backbone)[1]):
        assert jnp.isfinite(leaf).all() and jnp.any(leaf != 0), path


@pytest.mark.parametrize('backbone', BACKBONES)
def test_training_differs_from_evaluation_where_something_is_random(backbone):
    trained, evaluated = train(backbone)[0], evaluating(make(backbone))
    evaluated = apply(evaluated, draw(8, *SHAPE))
    assert jnp.isfinite(trained).all() and jnp.isfinite(evaluated).all()
    same = jnp.allclose(trained, evaluated, atol=1e-4)
    assert same == (backbone not in RANDOM)


@pytest.mark.parametrize('backbone', COMPILED)
def test_jit_changes_nothing(backbone):
    eager = make(backbone)(draw(8, *SHAPE))
    np.testing.assert_allclose(train(backbone)[0], eager, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize('backbone', BACKBONES)
def test_images_of_a_batch_do_not_meet_in_evaluation(backbone):
    model, images = evaluating(make(backbone)), draw(8, *SHAPE)
    together = apply(model, images)
    others = apply(model, images.at[1:].set(draw(7, *SHAPE, seed=3)))
    np.testing.assert_allclose(together[0], others[0], atol=1e-5)
    assert not jnp.allclose(together[1:], others[1:], atol=1e-3)


@pytest.mark.parametrize('backbone', BACKBONES)
def test_bfloat16_is_close_and_keeps_parameters_in_float32(backbone):
    images = draw(8, *SHAPE)
    exact = apply(evaluating(make(backbone)), images)
    model = make(backbone, dtype='bfloat16')
    maps = nnx.eval_shape(lambda model: model.features(images), model)
    assert {part.dtype for part in maps} == {jnp.dtype('bfloat16')}
    rounded = apply(evaluating(model), images)
    assert rounded.dtype == jnp.float32
    scale = float(jnp.abs(exact).max())
    np.testing.assert_allclose(rounded, exact, atol=0.05 * scale)
    kept = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype('float32')}


@pytest.mark.parametrize('backbone', ['resnet18', 'vit-token', 'convnext'])
def test_rematerialisation_changes_no_gradient(backbone):
    kept, again = train(backbone), train(backbone, remat=True)
    np.testing.assert_allclose(again[0], kept[0], atol=1e-4)
    for one, other in zip(*map(jax.tree.leaves, (kept[1], again[1])), strict=True):
        scale = float(jnp.abs(one).max())
        np.testing.assert_allclose(one, other, atol=1e-3 * scale)


def test_rematerialised_batch_statistics_move_once():
    kept, again = make('resnet18'), make('resnet18', remat=True)
    images = draw(8, *SHAPE)
    kept(images), again(images)
    states = (nnx.state(model, nnx.BatchStat) for model in (kept, again))
    for one, other in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_head_drops_only_in_training():
    head = Classifier((8,), 3, strides=(4,), dropout=0.5, rngs=make_rngs(0))
    maps = [draw(2, 4, 4, 8)]
    assert not jnp.array_equal(head(maps), head(maps))
    view = evaluating(head)
    pooled = maps[-1].mean((1, 2)) @ head.dense.kernel[...] + head.dense.bias[...]
    np.testing.assert_allclose(view(maps), pooled, atol=1e-5)


def wrong(backbone, **options):
    return lambda: backbone((8, 8, 1), **options, rngs=make_rngs(0))


WRONG = {
    'ResNet has no depth 20; choose 18, 34, 50, 101 or 152.': wrong(ResNet, depth=20),
    "ResNet has no stem 'tiny'; choose 'imagenet' or 'small'.": wrong(
        ResNet, stem='tiny'
    ),
    "ResNet has no norm 'layer'; choose 'batch' or 'group'.": wrong(
        ResNet, norm='layer'
    ),
    "ResNet has no width '3x'; choose '1x', '2x' or '32x4d'.": wrong(
        ResNet, width='3x'
    ),
    "ResNet of depth 18 has no width '2x'; choose '1x', or depth 50, 101 or 152.": (
        wrong(ResNet, depth=18, width='2x')
    ),
    'MLP needs hidden_dim of at least 1; got 0.': wrong(MLP, hidden_dim=0),
    'MLP needs num_layers of at least 1; got -1.': wrong(MLP, num_layers=-1),
    'MLP needs dropout in [0, 1); got 1.5.': wrong(MLP, dropout=1.5),
    'Classifier needs dropout in [0, 1); got 1.': lambda: Classifier(
        (8,), 3, strides=(4,), dropout=1, rngs=make_rngs(0)
    ),
    "Net has no dtype 'bfloat'; choose 'float32' or 'bfloat16'.": (
        lambda: describe('mlp', dtype='bfloat')(rngs=make_rngs(0))
    ),
}


@pytest.mark.parametrize('message', WRONG)
def test_a_wrong_argument_says_what_would_be_right(message):
    with pytest.raises(ValueError) as raised:
        WRONG[message]()
    assert str(raised.value) == message
