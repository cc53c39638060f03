"""EfficientNet gives torchvision's and timm's logits for their weights, and back."""

import functools

import pytest

from models import EfficientNet
from models.pretrained.efficientnet import NAMINGS
from tests.test_parity import check_parity, timm_model, torchvision_model

SIZES = (64, 64), (95, 80)
PEERS = {'torchvision': torchvision_model, 'timm': timm_model}


@pytest.mark.parametrize('naming', PEERS)
@pytest.mark.parametrize('variant', ['b0', 'b1', 'b3'])
def test_logits_agree_and_weights_go_back(variant, naming):
    theirs = PEERS[naming](f'efficientnet_{variant}')
    ours = functools.partial(EfficientNet, variant=variant)
    check_parity(theirs, ours, NAMINGS[naming], SIZES[0], SIZES)
