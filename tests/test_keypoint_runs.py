"""Runs that learn boxes and the keypoints in them; what is made of their answers."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

import main
from tests.batch_sizes import same_scores
from tests.in_turn import alone, on_devices
from tests.run_ends import timeless
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import make_job, open_job
from trainer.predict import predict
from trainer.train import train

CONFIG = 'configs/keypoint_rcnn.gin'
SMALL = (
    'Shapes.size = 32',
    'Shapes.train = 40',
    'Shapes.test = 21',
    'Net.backbone = @UNet',
    'UNet.width = 4',
    'UNet.depth = 1',
    'KeypointRCNN.fpn = None',
    'KeypointRCNN.output_stride = 2',
    'KeypointRCNN.depth = 1',
    'KeypointRCNN.width = 8',
    'KeypointDetection.proposals = 2',
    'KeypointDetection.most = 3',
    'BATCH = 8',
)


def test_a_head_that_does_not_fit_the_task_is_refused():
    with pytest.raises(UserError, match=r'Detector needs num_classes .* got \(1, 4\)'):
        open_job(load([CONFIG, 'configs/models/resnet18_detector.gin']))
    bindings = ['Net.head = @KeypointRCNN', 'Shapes.size = 32']
    with pytest.raises(UserError, match=r'needs a task with classes and keypoints'):
        open_job(load(['configs/detector.gin'], bindings))


@pytest.fixture(scope='module')
def job():
    return open_job(load([CONFIG], SMALL))


def test_scores_of_a_run_do_not_depend_on_the_batch(job):
    scores = same_scores(job, 16, 1e-4)
    assert {'test/loss', 'test/map', 'test/keypoint_ap', 'test/ap_class_0'} <= {*scores}


def test_steps_learn_both(job):
    """What is asked of the head has gradients: both losses fall on one batch."""
    state, step = job.init_state(), job.compile_train_step()
    batch = jax.device_put(next(job.datasets['train'].train_batches(0)))
    key = jax.random.key(0)

    def parts(state):
        task, prepare = job.task, job.recipe.prepare

        def losses(params, model_state, batch):
            batch = prepare(batch, key)

            apply = functools.partial(job.recipe.network.apply, params, model_state)
            outputs = task.eval_outputs(apply, batch)
            boxes = task.filled(keypoint_weight=0.0).loss(outputs, batch)
            return jnp.mean(boxes), jnp.mean(task.loss(outputs, batch) - boxes)

        return [float(part) for part in jax.jit(losses)(*state.weights, batch)]

    before = parts(state)
    for _ in range(60):
        state, watch = step(state, batch)
    after = parts(state)
    assert int(watch['bad_step']) == -1
    assert after[0] < before[0] and after[1] < before[1]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp('runs') / 'poses'
    bindings = [*SMALL, 'EPOCHS = 1', 'Shapes.train = 16', 'Shapes.test = 8']
    return directory, train(load([CONFIG], bindings), directory)


def test_a_run_is_scored_predicted_and_drawn(run, tmp_path):
    directory, results = run
    assert 0 <= results['test/keypoint_ap'] <= 1 and 'test/map50' in results
    assert (directory / 'report.html').is_file()
    assert (directory / 'pictures' / 'val_random.png').is_file()
    picture = tmp_path / '7.png'
    noise = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    Image.fromarray(noise).save(picture)
    (row,) = predict(directory, [picture])
    assert len(row['objects']) == 3
    for found in row['objects']:
        x, y, width, height = found['bbox']
        names = [point['name'] for point in found['keypoints']]
        assert names == ['top_left', 'top_right', 'bottom_right', 'bottom_left']
        for point in found['keypoints']:
            assert x - width / 8 - 1e-3 <= point['x'] <= x + 9 * width / 8 + 1e-3
            assert y - height / 8 - 1e-3 <= point['y'] <= y + 9 * height / 8 + 1e-3
    words = ['main.py', 'predict', str(picture), f'--workdir={directory}']
    out = tmp_path / 'found.json'
    assert main.main([*words, '--format=coco', f'--out={out}']) == 0
    entries = json.loads(out.read_text())
    assert [one['bbox'] for one in entries] == [o['bbox'] for o in row['objects']]
    first = row['objects'][0]['keypoints'][0]
    np.testing.assert_allclose(
        entries[0]['keypoints'][:3], [first['x'] - 0.5, first['y'] - 0.5, 1], atol=1e-4
    )
    table = tmp_path / 'found.csv'
    assert main.main([*words, f'--out={table}']) == 0
    header, *lines = table.read_text().splitlines()
    assert header.startswith('file,label,score,x,y,width,height,name_1,x_1,y_1,score_1')
    assert len(lines) == 3 and lines[0].count(',') == header.count(',')


class Bare(nnx.Module):
    """Gives what a detector gives, and knows of no regions."""

    def __init__(self, *, rngs):
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, images):
        maps = self.scale * jnp.zeros((len(images), 8, 8, 2))
        return {'heatmap': maps[..., :1], 'offset': maps, 'size': maps}


def test_a_model_that_knows_no_regions_is_refused(job):
    experiment = dataclasses.replace(job.experiment, model=Bare)
    bare = make_job(experiment, job.datasets)
    words = r'asks the model for regions, which it does not know .* give it a head'
    with pytest.raises(UserError, match=words) as raised:
        bare.compile_train_step()
    assert '\n' not in str(raised.value)


@pytest.mark.slow
def test_eight_devices_learn_what_one_does(tmp_path):
    bindings = [*SMALL, 'EPOCHS = 2', 'Shapes.train = 16', 'Shapes.test = 16']
    words = [f'--gin_file={CONFIG}', *(f'--gin_bindings={b}' for b in bindings)]
    words += ['--gin.Experiment.log_every=1']
    alone(tmp_path / 'one', *words)
    cut = '--gin.Parallel.fsdp=2'
    on_devices(8, [*words, cut, f'--workdir={tmp_path / "eight"}'])
    one, eight = (
        list(map(json.loads, timeless(tmp_path / n))) for n in ('one', 'eight')
    )
    losses = [
        [r['train/loss'] for r in rows if 'train/loss' in r] for rows in (one, eight)
    ]
    assert len(losses[0]) == 2 and losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert one[-1]['test/loss'] == pytest.approx(eight[-1]['test/loss'], abs=1e-3)
