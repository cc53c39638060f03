"""Fine-tuning: rates that follow the depth of a block, and norms that hold still."""

import functools
import re

import jax
import numpy as np
import pytest
from flax import nnx

from models import Classifier, ConvNeXt, EfficientNet, Net, ResNet, UNet, ViT
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import open_job
from trainer.layers import layer_depths, layer_rates
from trainer.steps import make_train_step

BLOCKS = {  # of the papers
    functools.partial(ResNet, depth=18): 2 + 2 + 2 + 2,
    functools.partial(ResNet, depth=50): 3 + 4 + 6 + 3,
    functools.partial(ViT, size='Ti/16'): 12,
    functools.partial(ConvNeXt, size='T'): 3 + 3 + 9 + 3,
    functools.partial(EfficientNet, variant='b0'): 1 + 2 + 2 + 3 + 3 + 4 + 1,
    functools.partial(UNet, encoder=ResNet): 3 + 4 + 6 + 3,
}
TINY = ['Images.batch = 16', 'Experiment.log_every = 1']


def names_of(backbone):
    make = functools.partial(Net, backbone, Classifier, num_outputs=10)
    net = nnx.eval_shape(lambda: make(input_shape=(64, 64, 3), rngs=nnx.Rngs(0)))
    return ['/'.join(map(str, p)) for p, _ in nnx.to_flat_state(nnx.state(net))]


@pytest.mark.parametrize(
    'backbone', BLOCKS, ids=lambda b: f'{b.func.__name__}{b.keywords}'
)
def test_every_block_of_a_family_is_one_layer(backbone):
    depths = layer_depths(names_of(backbone))
    top = BLOCKS[backbone] + 1
    assert set(depths.values()) == set(range(top + 1))
    for name, depth in depths.items():
        assert (depth == 0) == ('/stem/' in name), name
        if name.startswith(('head/', 'backbone/decoder/')):
            assert depth == top


def test_the_sizes_of_a_unet_are_its_layers():
    depths = layer_depths(names_of(functools.partial(UNet, width=2, depth=3)))
    for name, depth in depths.items():
        level = re.match(r'backbone/encoder/stages/(\d)/', name)
        assert depth == (1 + int(level[1]) if level else 5), name


def test_rates_fall_from_the_head_to_the_stem():
    names = names_of(functools.partial(ViT, size='Ti/16'))
    rates = layer_rates(names, 0.5)
    assert rates['head/dense/kernel'] == rates['backbone/norm/scale'] == 1
    assert rates['backbone/blocks/11/mlp/dense1/kernel'] == 0.5
    assert rates['backbone/blocks/0/norm1/scale'] == 0.5**12
    assert rates['backbone/stem/positions'] == 0.5**13


def test_a_backbone_without_layers_is_refused():
    names = ['backbone/conv/kernel', 'backbone/decoder/steps/0/kernel', 'head/kernel']
    message = (
        'Experiment.layer_decay = 0.5 finds no layers: the parameters begin with '
        'backbone/conv, backbone/decoder, head/kernel, and layers are called .*, or '
        'give Experiment.rates and no layer_decay'
    )
    with pytest.raises(UserError, match=message) as caught:
        layer_rates(names, 0.5)
    assert '\n' not in str(caught.value)


def moves(before, after):
    return {name: np.asarray(v) - before[name] for name, v in after.items()}


def moves_of_a_step(*bindings):
    """How far one step of plain SGD moves each parameter of an MLP."""
    sgd = ['Experiment.optimizer = @sgd', 'sgd.momentum = 0.0', 'MLP.dropout = 0.0']
    job = open_job(load(['configs/mlp.gin'], [*TINY, *sgd, *bindings]), ())
    before = job.init_state()
    batch = next(job.datasets['train'].train_batches(0))
    after, _ = jax.jit(make_train_step(job.recipe))(before, batch)
    return moves(before.params, after.params)


def test_a_step_is_as_long_as_the_depth_says():
    plain = moves_of_a_step()
    head = "Experiment.rates = {'head/.*': 4.0}"
    decayed = moves_of_a_step('Experiment.layer_decay = 0.5', head)
    factors = layer_rates(list(plain), 0.5)
    assert sorted(set(factors.values())) == [0.25, 0.5, 1]
    for name, move in plain.items():
        factor = factors[name] * (4 if name.startswith('head/') else 1)
        np.testing.assert_allclose(decayed[name], factor * move, atol=1e-6)


@pytest.mark.parametrize(
    ('pattern', 'still'),
    [
        (
            r'backbone/stages/[01]/.*/norm/.*',
            ('backbone/stages/0', 'backbone/stages/1'),
        ),
        (r'backbone/.*/scale', ()),  # biases still move, and so do statistics
    ],
)
def test_a_norm_that_is_frozen_whole_keeps_its_statistics(pattern, still):
    frozen = f'Experiment.freeze = [{pattern!r}]'
    job = open_job(load(['configs/resnet18.gin'], [*TINY, frozen]), ())
    state, key = job.init_state(), jax.random.key(1)
    images = jax.random.normal(key, (4, 8, 8, 1))
    train = jax.jit(job.recipe.network.train)
    _, after = train(state.params, state.model_state, key, images)
    for name, move in moves(state.model_state, after).items():
        assert name.startswith(still) == (not move.any()), name
