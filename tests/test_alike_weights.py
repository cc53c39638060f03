"""Weights that fit by name and shape, of nets that compute otherwise, are refused."""

import json

import numpy as np
import pytest
from flax import nnx

import models
from models.pretrained.loading import load_pretrained, weights_of
from models.pretrained.saving import foreign_weights
from models.pretrained.weight_files import write_safetensors
from trainer.errors import UserError
from trainer.experiment import load
from trainer.pretrained import expecting


def abstract(name, **arguments):
    return nnx.eval_shape(lambda: models.create_model(name, 10, **arguments))


@pytest.fixture(scope='module')
def foreign():
    """Zeros in the names of a library: `foreign('efficientnet_b0', 'timm')`."""

    def made(name, naming):
        net = abstract(name)
        zeros = {k: np.zeros(v.shape, np.float32) for k, v in weights_of(net).items()}
        return foreign_weights(net, zeros, naming)

    return made


REFUSED = r'holds weights of tf_efficientnet_b0\S*, which pads otherwise than our nets'
B0 = 'efficientnet_b0'


def refusal(location):
    with pytest.raises(ValueError, match=REFUSED) as raised:
        load_pretrained(str(location), abstract(B0))
    assert '\n' not in str(raised.value)
    return str(raised.value)


def test_tensorflows_weights_are_known_by_the_json_beside_them(tmp_path, foreign):
    path, config = tmp_path / 'model.safetensors', tmp_path / 'config.json'
    write_safetensors(path, foreign(B0, 'timm'), {})
    config.write_text(json.dumps({'architecture': 'tf_efficientnet_b0'}))
    assert refusal(path).endswith(
        'take hf://timm/efficientnet_b0.ra_in1k/model.safetensors.'
    )
    config.write_text(json.dumps({'architecture': B0}))
    assert load_pretrained(str(path), abstract(B0)).naming == 'timm'


def test_they_are_known_by_the_header(tmp_path, foreign):
    path = tmp_path / 'model.safetensors'
    said = {'architecture': 'tf_efficientnet_b0.ns_jft_in1k'}
    write_safetensors(path, foreign(B0, 'timm'), said)
    refusal(path)


@pytest.mark.parametrize(
    'place',
    [
        'tf_efficientnet_b0_ns-c0e6a31c.safetensors',
        'tf_efficientnet_b0.ns_jft_in1k/model.safetensors',
        'models--timm--tf_efficientnet_b0.ns_jft_in1k/snapshots/1a/model.safetensors',
    ],
)
def test_they_are_known_by_the_name_of_file_or_folder(tmp_path, foreign, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, foreign(B0, 'timm'), {})
    refusal(path)


def test_they_are_known_by_the_repository(hub, foreign):
    folder = hub('timm/tf_efficientnet_b0.ns_jft_in1k')
    write_safetensors(folder / 'model.safetensors', foreign(B0, 'timm'), {})
    location = 'hf://timm/tf_efficientnet_b0.ns_jft_in1k/model.safetensors'
    refusal(location)
    binding = f"Net.pretrained = '{location}'"
    bindings = ['Net.backbone = @EfficientNet', binding]
    with pytest.raises(UserError, match=REFUSED):
        expecting(load(['configs/resnet18.gin'], bindings))


def test_where_timm_has_no_others_torchvision_is_named(tmp_path, foreign):
    path = tmp_path / 'tf_efficientnet_b5.safetensors'
    write_safetensors(path, foreign('efficientnet_b5', 'timm'), {})
    with pytest.raises(ValueError, match='the weights of efficientnet_b5 in torchvis'):
        load_pretrained(str(path), abstract('efficientnet_b5'))


def test_weights_of_another_epsilon_need_it_said(tmp_path, foreign):
    path, name = tmp_path / 'w.safetensors', 'efficientnet_b5'
    write_safetensors(path, foreign(name, 'timm'), {})
    with pytest.raises(ValueError, match=r'epsilon = 1e-05, but .* 0\.001; give Effic'):
        load_pretrained(str(path), abstract(name))
    net = abstract(name, epsilon=1e-5)
    assert net.backbone.top.norm.epsilon == 1e-5
    assert load_pretrained(str(path), net).naming == 'timm'
    write_safetensors(path, foreign(name, 'torchvision'), {})
    assert load_pretrained(str(path), abstract(name)).naming == 'torchvision'
