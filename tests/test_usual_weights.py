"""`pretrained = True`: the usual weights of a name, fetched as any others are."""

import functools
import json

import numpy as np
import pytest
from flax import nnx

import models
from models import Net, ResNet
from models.pretrained.downloads import fetched
from models.pretrained.loading import families, family_of, weights_of
from models.pretrained.saving import foreign_weights
from models.pretrained.usual import REPOSITORIES, located
from models.pretrained.weight_files import write_safetensors
from models.streams import make_rngs
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import open_job
from trainer.pretrained import expecting

IMAGENET_STEM = ['configs/resnet18.gin'], ["ResNet.stem = 'imagenet'"]
TRUE = 'Net.pretrained = True'


def publish(folder, name):
    """Weights of a name as timm has them, with 1,000 classes; gives the arrays."""
    net = nnx.eval_shape(lambda: models.create_model(name))
    draw = np.random.default_rng(0)
    arrays = {
        path: draw.normal(size=leaf.shape).astype(np.float32)
        for path, leaf in weights_of(net).items()
    }
    foreign = foreign_weights(net, arrays, 'timm')
    write_safetensors(folder / 'model.safetensors', foreign, {})
    said = {'mean': [0.5] * 3, 'std': [0.25] * 3}
    config = {'architecture': name, 'pretrained_cfg': said}
    (folder / 'config.json').write_text(json.dumps(config))
    return arrays


def assert_same(net, arrays):
    for path, leaf in weights_of(net).items():
        np.testing.assert_array_equal(leaf[...], arrays[path])


@pytest.mark.parametrize('name', REPOSITORIES)
def test_every_row_is_of_a_net_that_timm_names(name):
    backbone = models.catalog.BACKBONES[name]
    found = located(True, backbone)
    assert found == f'hf://timm/{REPOSITORIES[name]}/model.safetensors'
    architecture, _, recipe = REPOSITORIES[name].partition('.')
    assert recipe.endswith('in1k') and not architecture.startswith('tf_')
    assert 'timm' in families()[family_of(backbone.func)]


def test_a_model_and_a_backbone_begin_with_them(hub, quickly_compiled):
    arrays = publish(hub('timm/resnet18.a1_in1k'), 'resnet18')
    shape = {'pretrained': True, 'input_shape': (32, 32, 3)}
    assert_same(models.create_model('resnet18', **shape), arrays)
    body = {k.removeprefix('backbone/'): v for k, v in arrays.items()}
    assert_same(models.create_backbone('ResNet', '18', **shape), body)


def test_true_in_a_config_is_the_address(hub):
    arrays = publish(hub('timm/resnet18.a1_in1k'), 'resnet18')
    files, bindings = IMAGENET_STEM
    experiment = load(files, [*bindings, TRUE])
    job = open_job(experiment, ())
    location = 'hf://timm/resnet18.a1_in1k/model.safetensors'
    assert job.recipe.network.module.pretrained == location
    params = job.init_state().params
    for path in ('backbone/stages/3/1/conv2/conv/kernel', 'backbone/stem/norm/scale'):
        np.testing.assert_array_equal(params[path], arrays[path])
    assert expecting(experiment).train_data.std == pytest.approx(0.25)


def test_a_backbone_is_recognised_by_what_it_is_told():
    def location(**arguments):
        return located(True, functools.partial(ResNet, **arguments))

    assert 'resnet50.a1_' in location() and 'resnet50.a1_' in location(remat=True)
    assert 'resnet34.a1_' in location(depth=34, stem='small')
    assert 'wide_resnet50_2.' in location(width='2x')
    with pytest.raises(ValueError, match='no weights are usual for this backbone'):
        location(depth=101, width='2x')


NOTHING = 'pretrained = True: no weights are usual for {}; give a file, or an address '


@pytest.mark.parametrize(
    ('name', 'create'),
    [
        ('mlp', lambda: models.create_model('mlp', pretrained=True)),
        ('efficientnet_b5', lambda: models.create_backbone('EfficientNet', 'b5', True)),
        (
            'this backbone',
            lambda: net(functools.partial(ResNet, depth=101, width='2x')),
        ),
        ('this backbone', lambda: net(models.UNet)),
    ],
)
def test_a_name_without_any_says_so_and_lists_those_that_have(name, create):
    with pytest.raises(ValueError) as raised:
        create()
    said = str(raised.value)
    assert said.startswith(NOTHING.format(name)) and '\n' not in said
    assert 'These have usual ones: resnet18, ' in said and 'efficientnet_b4.' in said


def net(backbone):
    options = {'input_shape': (32, 32, 3), 'num_outputs': 3, 'rngs': make_rngs(0)}
    return Net(backbone, models.Classifier, pretrained=True, **options)


def test_a_config_without_any_is_refused_before_anything_is_read():
    mlp = load(['configs/mlp.gin'], [TRUE])
    for step in (expecting, functools.partial(open_job, splits=())):
        with pytest.raises(UserError, match='no weights are usual for this backbone'):
            step(mlp)


def test_what_is_not_there_is_named(hub):
    hub('timm/resnet18.a1_in1k')
    with pytest.raises(ValueError, match=r'resnet18\.a1_in1k/.* cannot be fetched'):
        models.create_model('resnet18', pretrained=True, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match='cannot be fetched'):
        fetched(located(True, models.catalog.BACKBONES['vit_ti16']))


@pytest.mark.parametrize('nothing', [False, None, ''])
def test_nothing_is_asked_for(nothing):
    assert located(nothing, ResNet) is None
