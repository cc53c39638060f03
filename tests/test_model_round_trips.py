"""Every family through a checkpoint: each weight under its name, bit for bit."""

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from models import Net, Segmenter, UNet
from models.pretrained.loading import set_weights, weights_of
from models.streams import make_rngs
from tests.test_model_properties import (
    BACKBONES,
    SHAPE,
    describe,
    narrow,  # noqa: F401 - a fixture
)
from trainer import state_files


def unet():
    options = {'input_shape': SHAPE, 'num_outputs': 3}
    head = functools.partial(Segmenter, fpn=None)
    return functools.partial(
        Net, functools.partial(UNet, width=4, depth=2), head, **options
    )


def abstract(name):
    net = unet() if name == 'unet' else describe(name)
    return nnx.eval_shape(lambda: net(rngs=make_rngs(0)))


@pytest.mark.parametrize('name', [*BACKBONES, 'unet'])
def test_a_checkpoint_brings_back_every_weight(name, tmp_path):
    draw = np.random.default_rng(0)
    state = {
        path: jax.device_put(draw.normal(size=leaf.shape).astype(np.float32))
        for path, leaf in weights_of(abstract(name)).items()
    }
    manifest = state_files.seal({}, 1, state)
    state_files.start_save(tmp_path / 'net', state, manifest).result()
    wanted = {
        path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        for path, leaf in state.items()
    }
    net = abstract(name)
    set_weights(net, state_files.load(tmp_path / 'net', manifest, wanted))
    found = weights_of(net)
    assert found.keys() == state.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf[...], state[path])
