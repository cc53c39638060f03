"""Every shipped gin file makes a train step: traced whole, on its data; no compile."""

import jax
import pytest

from tests.picture_folders import write_classes
from tests.test_configs import MODELS, ROOT, RUNS, name
from trainer.experiment import load
from trainer.job import open_job
from trainer.programs import abstract_batch
from trainer.steps import make_train_step

# The run whose task a model file is layered on, by its head.
FITTING = {
    'Classifier': 'configs/multilabel.gin',
    'Regressor': 'configs/regression.gin',
    'Segmenter': 'configs/unet_segmentation.gin',
    'KeypointHead': 'configs/unet_keypoints.gin',
    'Detector': 'configs/detector.gin',
    'KeypointRCNN': 'configs/keypoint_rcnn.gin',
}
SEARCHES = sorted((ROOT / 'configs/search').glob('*.gin'))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """For the configs that read pictures of one's own."""
    return write_classes(tmp_path_factory.mktemp('data') / 'photos')


def traced(files, bindings=()):
    """A run of some files, and the state behind its train step, with none taken."""
    job = open_job(load(files, ['BATCH = 8', *bindings]), ())
    step = make_train_step(job.recipe, measured=True)
    batch = abstract_batch(job.datasets['train'], job.mesh)
    state, watch = jax.eval_shape(step, job.abstract_state(), batch)
    assert {'loss', 'grad_norm', 'update_norm'} <= set(watch)
    return job, state


def shapes(state):
    """Shapes and types of all that a step changes, by name."""
    leaves = jax.tree.leaves_with_path(state)
    return {jax.tree_util.keystr(k): (v.shape, v.dtype) for k, v in leaves}


@pytest.mark.parametrize('path', [*RUNS, *SEARCHES], ids=name)
def test_a_run_takes_a_step_that_leads_to_the_next(path, folder):
    own = [f"FOLDER = '{folder}'"] if 'FOLDER' in path.read_text() else []
    job, state = traced([name(path)], own)
    assert shapes(state) == shapes(job.abstract_state())


@pytest.mark.parametrize('path', MODELS, ids=name)
def test_a_model_takes_a_step_on_a_run_whose_task_fits_it(path):
    head = path.read_text().partition('Net.head = @')[2].split()[0]
    job, state = traced([FITTING[head], name(path)])
    assert job.experiment.name == path.stem
    assert shapes(state) == shapes(job.abstract_state())
