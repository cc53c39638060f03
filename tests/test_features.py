"""Maps of the backbone in an npz: those of the net itself, whole or not there."""

import types

import cv2
import jax
import numpy as np
import pytest

import main
from tests.picture_folders import write_classes
from trainer import features
from trainer.errors import UserError
from trainer.experiment import load
from trainer.predict import open_predictor
from trainer.signals import Stop
from trainer.train import train

SMALL = ['EPOCHS = 1', 'BATCH = 4', 'Images.size = 24', 'UNet.width = 4']
SMALL += ['UNet.depth = 2', 'Experiment.pictures = 0', 'PadCrop.pad = 1']
CLASSES = [
    'Net.backbone = @UNet',
    'Net.head = @Classifier',
    "Net.dtype = 'bfloat16'",
]


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Five pictures of each of three classes, of other sizes than the net's."""
    return write_classes(tmp_path_factory.mktemp('data') / 'photos', 5)


@pytest.fixture(scope='module')
def run(photos, tmp_path_factory):
    """A run of a small U-Net that tells classes apart, with bfloat16 activations."""
    directory = tmp_path_factory.mktemp('runs') / 'unet'
    named = f"Images.folder = '{photos}'"
    train(
        load(['configs/resnet18.gin'], [*SMALL, *CLASSES, named]),
        directory,
        stop=Stop(),
    )
    return directory


def command(*arguments):
    return main.main(['main.py', 'predict', *map(str, arguments)])


def test_the_maps_are_those_of_the_net(run, photos, tmp_path, capsys):
    out = tmp_path / 'maps.npz'
    (photos / 'ant/broken.jpg').write_bytes(b'none')
    assert command(photos, f'--workdir={run}', '--features', f'--out={out}') == 0
    said = capsys.readouterr().err
    assert 'broken.jpg' in said and list(tmp_path.iterdir()) == [out]
    with np.load(out, allow_pickle=False) as found:
        maps = dict(found)
    names = maps.pop('files')
    assert sorted(map(str, photos.glob('*/[0-9]*'))) == sorted(names)
    predictor = open_predictor(run, 'best')
    net = predictor.job.recipe.network.eval_model(
        predictor.params, predictor.model_state
    )
    mean, std = predictor.normalisation
    image = cv2.imread(names[7])[..., ::-1]
    for transform in predictor.job.experiment.eval_data.host_transforms:
        image = transform({'image': image})['image']
    wanted = net.features(((image / np.float32(255) - mean) / std)[None])
    assert list(maps) == [f'map_{i}' for i in range(len(wanted))]
    for i, one in enumerate(jax.device_get(wanted)):
        got = maps[f'map_{i}']
        assert got.dtype == np.float32 and got.shape == (15, *one.shape[1:])
        assert f'map_{i} {list(got.shape)}' in said
        np.testing.assert_allclose(
            got[7], one[0].astype(np.float32), rtol=0.1, atol=0.1
        )


def test_nothing_is_left_where_it_cannot_be_finished(
    run, photos, tmp_path, monkeypatch
):
    out = tmp_path / 'maps.npz'
    out.write_bytes(b'old')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(features.Spool, 'pack', full)
    assert command(photos, f'--workdir={run}', '--features', f'--out={out}') == 2
    assert out.read_bytes() == b'old' and list(tmp_path.iterdir()) == [out]


def test_what_would_be_lost_in_silence_is_refused(run, photos, capsys):
    given = (photos, f'--workdir={run}', '--features')
    assert command(*given, '--masks=masks') == 2
    assert 'writes maps alone, so --masks says nothing' in capsys.readouterr().err
    assert command(*given, '--out=maps.csv') == 2
    assert 'say --out=maps.npz' in capsys.readouterr().err


def test_a_model_without_maps_is_told_what_to_have():
    network = types.SimpleNamespace(eval_model=lambda *_: object())
    job = types.SimpleNamespace(recipe=types.SimpleNamespace(network=network))
    predictor = types.SimpleNamespace(job=job, params={}, model_state={})
    with pytest.raises(UserError, match=r'object has no features: give it features\('):
        features.maps_of(predictor)
