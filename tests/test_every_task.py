"""One backbone serves every task; each task's own file is all that knows it."""

import functools

import jax
import jax.numpy as jnp
import pytest

from models import (
    Classifier,
    Detector,
    KeypointHead,
    KeypointRCNN,
    Net,
    Regressor,
    ResNet,
    Segmenter,
)
from tests.test_configs import ROOT
from trainer.data.images import Images
from trainer.data.sources.shapes import Shapes
from trainer.experiment import load
from trainer.network import make_network
from trainer.tasks.classification import Classification
from trainer.tasks.detection import Detection
from trainer.tasks.keypoint_detection import KeypointDetection
from trainer.tasks.keypoints import Keypoints
from trainer.tasks.multilabel import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation

BACKBONE = functools.partial(ResNet, depth=18, stem='imagenet')
FPN = {'fpn': 16}
TASKS = {
    'label': (Classification(), Classifier, {}),
    'labels': (MultiLabel(), Classifier, {}),
    'target': (Regression(), Regressor, {}),
    'segmentation': (Segmentation(dice=1.0), Segmenter, FPN),
    'keypoints': (Keypoints(flip_test=True), KeypointHead, FPN),
    'boxes': (Detection(), Detector, FPN),
    'poses': (KeypointDetection(), KeypointRCNN, {**FPN, 'depth': 1, 'width': 16}),
}


@pytest.mark.parametrize('kind', TASKS)
def test_one_backbone_serves_every_task(kind):
    task, head, sizes = TASKS[kind]
    source = Shapes(kind=kind, size=32, train=4, test=1)
    data = Images(source=source, split='train', batch=4).open()
    task = task.prepare(data)
    net = functools.partial(
        Net, backbone=BACKBONE, head=functools.partial(head, **sizes)
    )
    network = make_network(
        net, input_shape=data.image_shape, num_outputs=task.num_outputs
    )
    batch = next(data.eval_batches())
    batch['image'] = batch['image'].astype('float32') / 255

    def look(key, batch):
        params, state = network.init(key)

        apply = functools.partial(network.apply, params, state)
        outputs = task.eval_outputs(apply, batch)
        losses = task.loss(outputs, batch)
        given = {**batch, 'outputs': outputs, 'losses': losses}
        metrics = task.metrics(False).single_from_model_output(**given)
        return losses, task.decode(outputs), metrics

    losses, decoded, _ = jax.eval_shape(look, jax.random.key(0), batch)
    assert (losses.shape, losses.dtype) == ((4,), jnp.float32)
    assert decoded and all(len(value) == 4 for value in decoded.values())
    assert any(
        name.startswith('backbone/stages/0/0') for name in network.parameter_names
    )


def test_the_four_keypoints_of_a_vertebra_are_a_variant_that_loads(tmp_path):
    text = (ROOT / 'configs/unet_keypoints.gin').read_text()
    variant = [line[4:] for line in text.splitlines() if line.startswith('#   ')]
    bindings = [line for line in variant if ' = ' in line and 'main.py' not in line]
    assert len(bindings) >= 8
    (tmp_path / 'spine.gin').write_text('# A vertebra.\n' + '\n'.join(bindings))
    files = ['configs/unet_keypoints.gin', str(tmp_path / 'spine.gin')]
    experiment = load(files, ['UNet.depth = 5'])
    assert experiment.task.pck == (0.05, 0.02)
    assert experiment.train_data.source.max_objects == 1
    assert experiment.train_data.host_transforms[1].size == 256
