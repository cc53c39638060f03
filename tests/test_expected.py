"""Size, crop and interpolation that weights expect: used where a config leaves them."""

import json

import numpy as np
import pytest
from PIL import Image

import models
from models import vit
from models.pretrained.loading import weights_of
from models.pretrained.preprocessing import preprocessing_of
from models.pretrained.saving import foreign_weights
from models.pretrained.weight_files import write_safetensors
from tests.picture_folders import write_classes
from trainer.data.images import Images
from trainer.evaluate import evaluate_run, experiment_of
from trainer.expected import as_recorded, as_weights_expect, expectation, open_size
from trainer.experiment import load
from trainer.predict import open_predictor
from trainer.signals import Stop
from trainer.train import train
from trainer.transforms import CenterCrop, RandomResizedCrop, ResizeShortSide, resize

EXPECTED = {'size': 24, 'crop': 0.75, 'interpolation': 'bicubic'}
SIDE = {'size': 24}
EVALUATION = ResizeShortSide(size=32, interpolation='bicubic'), CenterCrop(size=24)


def images(*transforms, **options):
    options = {'folder': 'photos', **options}
    return Images(split='train', batch=4, transforms=transforms, **options)


def filled(*transforms, expected=EXPECTED, **options):
    return as_weights_expect(images(*transforms, **options), expected).host_transforms


def test_what_is_left_open_is_filled_in():
    assert filled(ResizeShortSide(), CenterCrop()) == EVALUATION
    assert filled() == EVALUATION
    crop = RandomResizedCrop(min_area=0.5)
    wanted = RandomResizedCrop(min_area=0.5, size=24, interpolation='bicubic')
    assert filled(crop) == (wanted,)


def test_what_the_config_says_stays_and_the_crop_keeps_its_share():
    said = ResizeShortSide(size=30, interpolation='bilinear'), CenterCrop(size=28)
    assert filled(*said) == said
    resized, _ = filled(ResizeShortSide(), CenterCrop(size=48))
    assert resized == ResizeShortSide(size=64, interpolation='bicubic')
    resized, cropped = filled(size=40)
    assert (resized.size, cropped.size) == (40, 40)


def test_a_resize_is_no_smaller_than_the_crop_behind_it():
    resized, cropped = filled(ResizeShortSide(), CenterCrop(size=48), expected=SIDE)
    assert (resized.size, cropped.size) == (48, 48)
    resized, _ = filled(ResizeShortSide(), CenterCrop(size=16), expected=SIDE)
    assert resized.size == 24


def test_weights_that_bring_no_size_leave_it_open():
    bicubic = {'interpolation': 'bicubic'}
    resized, cropped = filled(ResizeShortSide(), CenterCrop(), expected=bicubic)
    assert (resized.size, resized.interpolation) == (None, 'bicubic')
    assert cropped.size is None
    resized, cropped = filled(expected=bicubic)
    assert (resized.size, cropped.size) == (64, 64)


def test_weights_have_a_say_only_where_a_size_is_open():
    assert open_size(images()) and open_size(images(CenterCrop()))
    assert not open_size(images(size=24)) and not open_size(images(CenterCrop(size=24)))
    assert not open_size(images(name='digits', folder=None))


def test_nothing_changes_where_nothing_is_known_or_pictures_stay_as_they_are():
    assert filled(expected={'mean': [0.5]}) == images().host_transforms
    assert filled(name='digits', folder=None) == ()

    def own(example):
        return example

    assert filled(own) == (own,)


def test_what_a_run_was_fed_is_used_again():
    flat = {
        'train_data.transforms.0': '@ResizeShortSide',
        'train_data.transforms.0.size': 32,
        'train_data.transforms.0.interpolation': 'bicubic',
        'train_data.transforms.1': '@CenterCrop',
        'train_data.transforms.1.size': 24,
    }
    for left in (images(), images(ResizeShortSide(), CenterCrop())):
        again = as_recorded(left, flat, 'train_data')
        assert again.host_transforms == EVALUATION
    assert expectation(EVALUATION) == EXPECTED
    assert as_recorded(images(), {}, 'train_data') == images()


@pytest.mark.parametrize(
    ('name', 'told', 'known'),
    [
        (
            'config.json',
            {'pretrained_cfg': {'mean': [0.5], 'input_size': [3, 24, 24]}},
            {'size': 24},
        ),
        (
            'preprocessor_config.json',
            {'size': {'height': 24, 'width': 24}, 'resample': 3},
            {'size': 24, 'interpolation': 'bicubic'},
        ),
        (
            'preprocessor_config.json',
            {'size': {'shortest_edge': 24}, 'crop_pct': 0.75, 'resample': 5},
            {'size': 24, 'crop': 0.75},
        ),
        (
            'preprocessor_config.json',
            {'size': 32, 'crop_size': {'height': 24}, 'do_center_crop': True},
            {'size': 24, 'crop': 0.75},
        ),
    ],
)
def test_files_beside_the_weights_are_understood(tmp_path, name, told, known):
    told = {'image_mean': [0.5], **told}
    (tmp_path / name).write_text(json.dumps(told))
    found = preprocessing_of(tmp_path / 'w.safetensors', {}, 'timm')
    assert found == {'mean': [0.5], **known}


@pytest.mark.parametrize('channels', [1, 2, 3])
@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear', 'bicubic', 'lanczos'])
def test_an_interpolation_is_pillows(interpolation, channels):
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (20, 30, channels), np.uint8)
    found = resize(image, 9, 14, interpolation)
    method = Image.Resampling[interpolation.upper()]
    for channel in range(channels):
        wanted = Image.fromarray(image[..., channel]).resize((14, 9), method)
        np.testing.assert_array_equal(found[..., channel], np.asarray(wanted))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run on photos that began with weights, of a ViT with one block."""
    folder = write_classes(tmp_path_factory.mktemp('data') / 'photos', 5)
    path = tmp_path_factory.mktemp('weights') / 'w.safetensors'
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vit.SIZES, 'Ti', (16, 1, 2))
        yield _trained(folder, path, tmp_path_factory.mktemp('runs') / 'run')


def _trained(folder, path, directory):
    net = models.create_model('vit_ti16', num_classes=3, input_shape=(24, 24, 3))
    arrays = {name: np.asarray(leaf[...]) for name, leaf in weights_of(net).items()}
    write_safetensors(
        path,
        foreign_weights(net, arrays, 'timm'),
        {'preprocessing': json.dumps(EXPECTED)},
    )
    small = ['EPOCHS = 1', 'BATCH = 4', 'Experiment.pictures = 0', 'PadCrop.pad = 1']
    small += [f"Images.folder = '{folder}'", f"Net.pretrained = '{path}'"]
    small += ['Net.backbone = @ViT', "ViT.size = 'Ti/16'"]
    experiment = load(['configs/resnet18.gin'], small)
    train(experiment, directory, stop=Stop())
    path.unlink()  # the run remembers
    return directory


def test_a_run_is_fed_so_evaluated_so_and_says_so(run):
    said = (run / 'log.txt').read_text()
    assert 'they expect: size 24; crop 0.75; interpolation bicubic' in said
    assert "go through: ResizeShortSide(size=32, interpolation='bicubic'), Cent" in said
    again = experiment_of(run)
    assert again.eval_data.host_transforms == EVALUATION
    results = json.loads((run / 'results.json').read_text())
    assert evaluate_run(run)['test/loss'] == pytest.approx(results['test/loss'])
    predictor = open_predictor(run, 'best')
    assert predictor.data.image_shape == (24, 24, 3)
    assert predictor.preprocessing.items() >= EXPECTED.items()
