"""Every family of nets and every task, small and untrained, to be handed to others."""

import numpy as np

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
    'poses': (['configs/keypoint_rcnn.gin'], DRAWN),
}


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
