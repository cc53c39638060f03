"""Host transforms that say no size, from the command line to a prediction."""

import json

import numpy as np
import pytest

import models
from models import vit
from models.pretrained.loading import weights_of
from models.pretrained.saving import foreign_weights
from models.pretrained.weight_files import write_safetensors
from tests.conftest import ROOT
from tests.picture_folders import write_classes

RANDOM = 'train/Images.transforms = [@RandomResizedCrop()]'
MIDDLE = 'Images.transforms = [@ResizeShortSide(), @CenterCrop()]'
TRANSFORMS = {'random': [RANDOM, MIDDLE], 'middle': [MIDDLE]}
EXPECTED = {'size': 64, 'crop': 0.8, 'interpolation': 'bicubic'}
EXPECTED |= {'mean': [0.4, 0.5, 0.6], 'std': [0.2, 0.2, 0.3]}
CONFIG = """include 'configs/resnet18.gin'
EPOCHS = 1
BATCH = 4
Experiment.pictures = 0
Net.backbone = @ViT
ViT.size = 'Ti/16'
train/Images.augment = []
Images.folder = 'photos'
"""

pytestmark = pytest.mark.usefixtures('quickly_compiled', 'tiny')


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A ViT of one block, and a folder of pictures, no two of which are alike."""
    monkeypatch.setitem(vit.SIZES, 'Ti', (16, 1, 2))
    write_classes(tmp_path / 'photos', 5)
    text = CONFIG.replace('configs/', f'{ROOT}/configs/')
    (tmp_path / 'config.gin').write_text(text)


def write_weights(path, header):
    """Of that ViT for pictures of 64 pixels, and what they expect in their header."""
    net = models.create_model('vit_ti16', num_classes=3, input_shape=(64, 64, 3))
    arrays = {name: np.asarray(leaf[...]) for name, leaf in weights_of(net).items()}
    told = {'preprocessing': json.dumps(header)} if header else {}
    write_safetensors(path, foreign_weights(net, arrays, 'timm'), told)
    return f"Net.pretrained = '{path}'"


def of(bindings):
    return ['--gin_file=config.gin', *(f'--gin_bindings={line}' for line in bindings)]


def succeeds(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def image_shape(here, bindings):
    """Of the training data, as the report on it says."""
    said = succeeds(here('data', *of(bindings), '--json', '--out=report'))
    return json.loads(said)['splits']['train']['image_shape']


@pytest.fixture(params=['nothing', 'weights'])
def fed(request, tmp_path):
    """Bindings, and the size, mean and crop of pictures that they lead to."""
    if request.param == 'nothing':
        return [], {'size': 224, 'crop': 224 / 256, 'mean': [0.5]}
    return [write_weights(tmp_path / 'w.safetensors', EXPECTED)], EXPECTED


@pytest.mark.parametrize('transforms', TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_run_that_says_no_sizes_lives_its_whole_life(here, tmp_path, transforms, fed):
    bindings, wanted = [*fed[0], *transforms], fed[1]
    assert image_shape(here, bindings) == [wanted['size'], wanted['size'], 3]
    succeeds(here('check', *of(bindings)))
    succeeds(here(*of(bindings), '--workdir=run'))
    results = json.loads((tmp_path / 'run/results.json').read_text())
    (tmp_path / 'w.safetensors').unlink(missing_ok=True)  # the run remembers
    succeeds(here('evaluate', '--workdir=run'))
    again = json.loads((tmp_path / 'run/evaluation_test.json').read_text())
    assert again['test/loss'] == pytest.approx(results['test/loss'], abs=1e-5)
    answers = succeeds(here('predict', 'photos/ant', '--workdir=run'))
    assert len(answers.splitlines()) >= 5
    export = ['export', '--workdir=run', '--naming=timm', '--out=out.safetensors']
    succeeds(here(*export))
    held = (tmp_path / 'out.safetensors').read_bytes()
    header = json.loads(held[8 : 8 + int.from_bytes(held[:8], 'little')])
    said = json.loads(header['__metadata__']['preprocessing'])
    assert {key: said[key] for key in wanted} == wanted


def test_what_only_tries_a_config_sees_pictures_of_the_same_size(here, tmp_path):
    weights = write_weights(tmp_path / 'w.safetensors', EXPECTED)
    small = [weights, MIDDLE, 'train/Images.augment = [@FlipLeftRight()]']
    said = succeeds(here('fast', *of(small)))
    assert 'ResizeShortSide(size=80, ' in said and 'CenterCrop(size=64, ' in said
    succeeds(here('check', '--rehearse', *of(small)))
