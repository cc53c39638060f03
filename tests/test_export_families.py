"""Exported programs answer as the net does: every family of nets, every task."""

import dataclasses
import json

import numpy as np
import pytest
from flax import nnx

import models
from models.pretrained.loading import weights_of
from models.pretrained.saving import foreign_weights, lost_weights
from tests.export_cases import CASES, untrained
from trainer import stablehlo

QUICK = ('mlp', 'regression', 'keypoints')


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
