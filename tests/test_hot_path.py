"""Between two steps nothing is read or copied, and the state is held once."""

import functools
import pathlib
import types

import jax
import pytest

import tests.small_resnet  # noqa: F401 - a name for gin
from models import vit
from trainer.chronicle import Chronicle
from trainer.experiment import load
from trainer.job import open_job
from trainer.judgements import step_memory
from trainer.phases import Phases
from trainer.progress import ProgressBar
from trainer.recorder import Recorder

CONFIGS = sorted(pathlib.Path('configs').glob('*.gin'))
# Those that fine-tune wait for a folder and for weights.
CONFIGS = [str(p) for p in CONFIGS if not p.stem.startswith(('base', 'finetune_'))]
NARROW = ['Net.backbone = @SmallResNet']  # resnet18.gin and the detector have it whole
SMALL = {
    'resnet18': ['Images.batch = 16'],
    'multilabel': ['Images.batch = 16', *NARROW],
    'unet_segmentation': ['Images.batch = 2'],
    'unet_keypoints': ['Images.batch = 2'],
    'detector': ['Images.batch = 2'],
    'keypoint_rcnn': ['Images.batch = 2', 'Net.backbone = @SmallResNet'],
}


@pytest.fixture(scope='module')
def job_of():
    """Opens a config, once for all tests: its step is then compiled once."""

    @functools.cache
    def opened(config):
        return open_job(load([config], SMALL.get(pathlib.Path(config).stem, [])), ())

    return opened


@pytest.mark.parametrize('config', CONFIGS)
def test_no_transfer_but_of_batches(config, job_of):
    job = job_of(config)
    step, state = job.compile_train_step(), job.init_state()
    batches = job.train_batches()
    next(batches)
    with jax.transfer_guard('disallow'):
        for _ in range(3):
            batch, _ = next(batches)
            state, watch = step(state, batch)
        job.fresh_metrics(train=True)
    batches.close()
    assert int(watch['bad_step']) == -1


def test_a_line_has_the_learning_rate_of_its_own_step(job_of, tmp_path):
    """The step says it: to ask for it would come behind the step that follows."""
    job, lines = job_of('configs/mlp.gin'), {}
    step, state, batches = (
        job.compile_train_step(),
        job.init_state(),
        job.train_batches(),
    )
    writer = types.SimpleNamespace(write_scalars=lines.__setitem__)
    chronicle = Chronicle(tmp_path, Phases(quiet=True), quiet=True)
    bar = ProgressBar(job.total_steps, quiet=True)
    recorder = Recorder(job, writer, bar, chronicle)
    for number in (1, 2, 3):
        state, watch = step(state, next(batches)[0])
        recorder.take(number, state, {**watch, 'update_norm': 0.5}, {})
        recorder.flush()
    batches.close()
    logged = [lines[number]['learning_rate'] for number in (1, 2, 3)]
    expected = [float(job.recipe.schedule(number)) for number in (0, 1, 2)]
    assert logged == pytest.approx(expected) and len({*logged}) == 3


@pytest.mark.parametrize('config', CONFIGS)
def test_the_state_is_donated_and_held_once(config, job_of):
    assert_held_once(job_of(config))


def test_the_state_of_a_transformer_is_held_once(monkeypatch):
    monkeypatch.setitem(vit.SIZES, 'Ti', (64, 2, 2))
    files = ['configs/resnet18.gin', 'configs/models/vit_b16.gin']
    assert_held_once(open_job(load(files, ["ViT.size = 'Ti/4'", 'BATCH = 16']), ()))


def assert_held_once(job):
    """XLA lays the new state where the old one was, and takes no room for another."""
    state, step = job.abstract_state(), job.compile_train_step()
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    analysis = step.memory_analysis()
    assert 0.99 * size <= analysis.alias_size_in_bytes <= 1.01 * size + 4096
    fresh = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    assert fresh < 0.01 * size + 4096  # the loss and its companions
    assert step_memory(step) <= 1.15 * (size + analysis.temp_size_in_bytes)


def test_what_is_donated_is_gone(job_of):
    job = job_of('configs/mlp.gin')
    step, state = job.compile_train_step(), job.init_state()
    batches = job.train_batches()
    step(state, next(batches)[0])
    batches.close()
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
