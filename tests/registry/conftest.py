"""What tests of the registry share: a run, a registry with versions, some pictures."""

import cv2
import numpy as np
import pytest

from trainer import registry
from trainer.data.images import Images
from trainer.experiment import load
from trainer.signals import Stop
from trainer.train import train

SMALL = ['MLP.hidden_dim = 16', 'EPOCHS = 2', 'Experiment.pictures = 0']


def trained(directory, *bindings):
    """A finished run of an MLP, of two epochs unless bindings say otherwise."""
    experiment = load(['configs/mlp.gin'], [*SMALL, *bindings])
    train(experiment, directory, argv=('main.py',), stop=Stop())
    return directory


def stocked(root, run):
    """A registry of two models, one with three versions."""
    said = {'note': 'The | first', 'licence': 'CC BY 4.0', 'root': root}
    registry.publish(run, 'digits', '1.0.0', **said)
    registry.publish(run, 'digits', '1.10.0', root=root)
    registry.publish(run, 'digits', '1.9.0', checkpoint='10', root=root)
    registry.publish(run, 'letters.v2', '2.0.0-rc.1', root=root)
    return root


def pictures(folder):
    """Ten test images as files of a folder, and as one array."""
    data = Images(name='digits', split='test', batch=1).open()
    images = np.stack([data[index]['image'] for index in range(10)])
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f'{index}.png'), image)
    return folder, images


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A finished run of two epochs."""
    return trained(tmp_path_factory.mktemp('runs') / 'mlp')


@pytest.fixture(scope='module')
def root(run, tmp_path_factory):
    """A registry of two models, one with three versions."""
    return stocked(tmp_path_factory.mktemp('shared') / 'registry', run)


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """Ten test images as files, and as one array."""
    return pictures(tmp_path_factory.mktemp('digits'))
