"""The table of models: published sizes, the same call for all, the nearest names."""

import functools
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import models
from models import MLP, Net

# With 1,000 classes and three channels, for images of 224x224 pixels. ResNet, wide
# ResNet, ResNeXt, ConvNeXt, ViT-B and ViT-L at /16 and /32: torchvision 0.28, the
# `num_params` that its documentation prints. The other ViTs: timm 1.0.31, counted on
# its `VisionTransformer` of that patch and width (`vit_tiny_patch16_224`, ...).
PARAMETERS = {
    'resnet18': 11_689_512,
    'resnet34': 21_797_672,
    'resnet50': 25_557_032,
    'resnet101': 44_549_160,
    'resnet152': 60_192_808,
    'wide_resnet50_2': 68_883_240,
    'wide_resnet101_2': 126_886_696,
    'resnext50_32x4d': 25_028_904,
    'convnext_t': 28_589_128,
    'convnext_s': 50_223_688,
    'convnext_b': 88_591_464,
    'convnext_l': 197_767_336,
    'vit_ti4': 6_143_656,
    'vit_ti14': 5_694_376,
    'vit_ti16': 5_717_416,
    'vit_ti32': 6_131_560,
    'vit_s4': 22_903_144,
    'vit_s14': 22_004_584,
    'vit_s16': 22_050_664,
    'vit_s32': 22_878_952,
    'vit_b4': 88_272_616,
    'vit_b14': 86_475_496,
    'vit_b16': 86_567_656,
    'vit_b32': 88_224_232,
    'vit_l4': 306_599_912,
    'vit_l14': 304_203_752,
    'vit_l16': 304_326_632,
    'vit_l32': 306_535_400,
    'mlp': 224 * 224 * 3 * 256 + 256 + 256 * 256 + 256 + 256 * 1000 + 1000,
}
# Beside their own tests.
COUNTED_ELSEWHERE = ('efficientnet_*', 'unet')


def draw(*shape):
    return jax.random.normal(jax.random.key(1), shape)


@pytest.mark.parametrize('name', PARAMETERS)
def test_size_is_the_published_one_and_any_image_gives_logits(name):
    model = nnx.eval_shape(lambda: models.create_model(name))
    params = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert sum(math.prod(leaf.shape) for leaf in params) == PARAMETERS[name]
    size = (224, 224) if name == 'mlp' else (33, 47)
    images = jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)
    logits = nnx.eval_shape(lambda model, images: model(images), model, images)
    assert (logits.shape, logits.dtype) == ((2, 1000), jnp.float32)


def test_every_model_has_its_size_in_a_table():
    elsewhere = [
        name for glob in COUNTED_ELSEWHERE for name in models.list_models(glob)
    ]
    assert sorted([*PARAMETERS, *elsewhere]) == sorted(models.list_models())


def test_models_are_listed_by_pattern():
    assert models.list_models('resnet?0') == ['resnet50']
    assert models.list_models('resnet1*') == ['resnet18', 'resnet101', 'resnet152']
    assert models.list_models('vgg*') == []


def test_created_model_gives_logits():
    model = models.create_model('mlp', num_classes=7, input_shape=(5, 6, 2))
    assert model(draw(3, 5, 6, 2)).shape == (3, 7)


def test_same_seed_same_weights_and_another_seed_others():
    def weights(seed):
        model = models.create_model('mlp', 3, seed=seed, input_shape=(4, 4, 1))
        return nnx.state(model, nnx.Param)

    same = jax.tree.map(jnp.array_equal, weights(0), weights(0))
    other = jax.tree.map(jnp.array_equal, weights(0), weights(1))
    assert all(jax.tree.leaves(same)) and not all(jax.tree.leaves(other))


@pytest.mark.parametrize('impl', ['threefry2x32', 'rbg', 'unsafe_rbg'])
def test_any_kind_of_key_draws_weights(impl):
    shape = {'input_shape': (8, 8, 1), 'num_outputs': 3}
    net = functools.partial(Net, MLP, models.Classifier, **shape)
    model = jax.jit(lambda key: net(rngs=nnx.Rngs(key)))(jax.random.key(0, impl=impl))
    assert jnp.isfinite(model(draw(2, 8, 8, 1))).all()


@pytest.mark.parametrize(
    'words',
    [('vit', 'ti4'), ('vit_ti4',), ('resnet', '18'), ('convnext', 't'), ('MLP',)],
)
def test_a_backbone_is_named_by_family_and_variant(words):
    create = functools.partial(models.create_backbone, *words, input_shape=(8, 8, 3))
    backbone = nnx.eval_shape(create)
    assert len(backbone.channels) == len(backbone.strides)


@pytest.fixture
def own_table(monkeypatch):
    """A table of models that may be changed."""
    monkeypatch.setattr(models.catalog, 'BACKBONES', dict(models.catalog.BACKBONES))
    monkeypatch.setattr(models.catalog, 'USUAL_HEADS', dict(models.catalog.USUAL_HEADS))


def test_a_model_of_ones_own_joins_the_table(own_table):
    models.add_models({'mlp_tiny': functools.partial(MLP, hidden_dim=4)})
    model = models.create_model('mlp_tiny', num_classes=2, input_shape=(3, 3, 1))
    assert model(draw(2, 3, 3, 1)).shape == (2, 2)


def test_arguments_reach_the_backbone(own_table):
    net = models.create_model('mlp', 10, input_shape=(3, 3, 1), hidden_dim=8)
    assert net.head.dense.kernel.shape == (8, 10)
    shape = {'input_shape': (32, 32, 3)}
    create = functools.partial(models.create_backbone, 'resnet', '18', **shape)
    small = nnx.eval_shape(lambda: create(stem='small', dtype='bfloat16'))
    assert small.strides == (1, 2, 4, 8)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    maps = nnx.eval_shape(lambda model, image: model(image), small, image)
    assert {part.dtype for part in maps} == {jnp.dtype('bfloat16')}
    models.add_models({'any': lambda shape, **options: MLP(shape, **options)})
    net = models.create_model('any', 10, input_shape=(3, 3, 1), hidden_dim=8)
    assert net.head.dense.kernel.shape == (8, 10)


NAMED_HEADS = {
    'classifier': (3, (2, 3)),
    'regressor': (3, (2, 3)),
    'segmenter': (3, (2, 64, 64, 3)),
    'keypoints': (3, (2, 16, 16, 3)),
    'detector': (3, {'heatmap': (2, 16, 16, 3), 'size': (2, 16, 16, 2)}),
    'keypoint_rcnn': ((3, 5), {'heatmap': (2, 16, 16, 3), 'size': (2, 16, 16, 2)}),
}


@pytest.mark.parametrize('head', models.HEADS)
def test_a_backbone_takes_any_head_by_name_or_class(head):
    classes, expected = NAMED_HEADS[head]
    shape = {'num_classes': classes, 'input_shape': (64, 64, 3)}
    image = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
    for given in (head, models.HEADS[head]):
        create = functools.partial(models.create_model, 'resnet18', **shape)
        model = nnx.eval_shape(lambda given=given, create=create: create(head=given))
        found = nnx.eval_shape(lambda model, image: model(image), model, image)
        if isinstance(expected, dict):
            assert expected.items() <= {k: v.shape for k, v in found.items()}.items()
        else:
            assert found.shape == expected


def test_a_head_is_told_what_the_usual_one_is_unless_it_says_itself():
    create = functools.partial(models.create_model, 'unet', 4, encoder='resnet18')
    own = functools.partial(models.KeypointHead, fpn=16)
    assert nnx.eval_shape(lambda: create(head='keypoints')).head.neck.fpn is None
    assert nnx.eval_shape(lambda: create(head=own)).head.neck.channels == 16
    b3 = nnx.eval_shape(
        lambda: models.create_model('efficientnet_b3', head='regressor')
    )
    assert b3.head.dropout.rate == 0.3


@pytest.mark.parametrize(
    ('create', 'message'),
    [
        (
            lambda: models.create_model('resnt18'),
            "No model is called 'resnt18'; nearest: resnet18, resnet",
        ),
        (
            lambda: models.create_model('vgg'),
            "No model is called 'vgg'; nearest: vit_",
        ),
        (
            lambda: models.create_backbone('vit', 's15'),
            "No model is called 'vit_s15'; nearest: vit_s1",
        ),
        (
            lambda: models.create_model('unet', encoder='resnt18'),
            "No model is called 'resnt18'; nearest: resnet18, resnet",
        ),
        (
            lambda: models.create_model('unet', head='keypoint'),
            "No head is called 'keypoint'; nearest: keypoints, keypoint_rcnn, ",
        ),
        (
            lambda: models.create_model('unet', head=3),
            'head = 3 is none; choose classifier, regressor, segmenter, keypoints, ',
        ),
        (
            lambda: models.create_model('mlp', hiden_dim=3),
            "No argument of mlp is called 'hiden_dim'; nearest: hidden_dim, ",
        ),
        (
            lambda: models.create_model('mlp', num_class=3),
            "No argument of mlp is called 'num_class'; nearest: num_classes, ",
        ),
        (
            lambda: models.create_backbone('resnet', '18', rngs=3),
            "No argument of resnet18 is called 'rngs'; nearest: ",
        ),
        (
            lambda: models.create_backbone('mlp', dtype='bfloat17'),
            "Net has no dtype 'bfloat17'; choose 'float32' or 'bfloat16'.",
        ),
        (
            lambda: models.create_model('resnet18', depth=20),
            'ResNet has no depth 20; choose 18, 34, 50, 101 or 152.',
        ),
    ],
)
def test_a_wrong_name_brings_the_nearest(create, message):
    with pytest.raises(ValueError) as raised:
        create()
    assert str(raised.value).startswith(message)
    assert '\n' not in str(raised.value)


def test_names_are_taken_as_other_libraries_write_them():
    create = functools.partial(models.create_model, input_shape=(8, 8, 3))
    net = nnx.eval_shape(lambda: create('ResNet-18', pretrained=False, num_classes=3))
    assert net.head.dense.kernel.shape == (512, 3)
    nnx.eval_shape(lambda: models.create_backbone('efficient_net', 'b0'))
