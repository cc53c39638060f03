"""Exported programs answer as the net does: every family of nets, every task."""

import dataclasses
import json

import numpy as np
import pytest
from flax import nnx

import models
from models.pretrained.loading import weights_of
from models.pretrained.saving import foreign_weights, lost_weights
from trainer import stablehlo
from trainer.experiment import load
from trainer.job import open_job
from trainer.predict import Predictor

DIGITS = ['configs/resnet18.gin']
DRAWN = ['Shapes.train = 8', 'Shapes.test = 2', 'Shapes.size = 32', 'Images.batch = 4']
LARGER = ['Images.size = 32']
# A net or a task, as a config and what is changed in it.
CASES = {
    'mlp': (['configs/mlp.gin'], []),
    'resnet-50': (DIGITS, [*LARGER, 'ResNet.depth = 50']),
    'vit': (DIGITS, [*LARGER, 'Net.backbone = @ViT', "ViT.size = 'Ti/4'"]),
    'convnext': (DIGITS, [*LARGER, 'Net.backbone = @ConvNeXt', "ConvNeXt.size = 'T'"]),
    'efficientnet': (
        DIGITS,
        [*LARGER, 'Net.backbone = @EfficientNet', "EfficientNet.variant = 'b0'"],
    ),
    'regression': (['configs/regression.gin'], []),
    'multilabel': (['configs/multilabel.gin'], DRAWN),
    'segmentation': (['configs/unet_segmentation.gin'], DRAWN),
    'keypoints': (['configs/unet_keypoints.gin'], DRAWN),
    'detection': (['configs/detector.gin'], DRAWN),
}
QUICK = ('mlp', 'regression', 'keypoints')


def drawn(arrays, form=np.asarray):
    """Other values than those of the beginning, of which many are zeros and ones."""
    rng = np.random.default_rng(0)
    return {
        name: (value + 0.02 * form(rng.normal(size=value.shape))).astype(value.dtype)
        for name, value in arrays.items()
    }


def untrained(config, bindings):
    """A net with weights as no training gives them, but none that does nothing."""
    job = open_job(load(config, bindings))
    state = job.init_state()
    return Predictor(job, 0, drawn(state.params), drawn(state.model_state, np.abs))


@pytest.mark.parametrize(
    'name',
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES],
)
def test_a_program_is_within_its_tolerance_of_the_net(name):
    predictor = untrained(*CASES[name])
    card = json.loads(stablehlo.stablehlo(predictor)['.json'])
    worst = card['parity']['difference']
    assert set(worst) == set(card['outputs']) and max(worst.values()) <= 1e-5


def test_a_net_that_differs_is_further_away():
    predictor = untrained(*CASES['mlp'])
    params = {name: value * 1.001 for name, value in predictor.params.items()}
    other = dataclasses.replace(predictor, params=params)
    call = stablehlo.answering(other)
    with pytest.raises(stablehlo.UserError, match='away from the run, more than 1e-05'):
        stablehlo.parity(call, predictor)


@pytest.mark.parametrize('naming', ['torchvision', 'timm'])
@pytest.mark.parametrize(
    'name', ['resnet50', 'vit_ti16', 'convnext_t', 'efficientnet_b0']
)
def test_weights_come_back_from_their_foreign_names_bit_for_bit(name, naming):
    net = nnx.eval_shape(lambda: models.create_model(name, 10))
    rng = np.random.default_rng(0)
    arrays = {
        path: rng.normal(size=leaf.shape).astype(np.float32)
        for path, leaf in weights_of(net).items()
    }
    foreign = foreign_weights(net, arrays, naming)
    assert lost_weights(net, arrays, foreign, naming) == []
    changed = next(path for path in arrays if path.endswith('kernel'))
    others = arrays | {changed: arrays[changed] * 2}
    assert lost_weights(net, others, foreign, naming) == [changed]
