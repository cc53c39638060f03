"""Boxes with keypoints: scores against COCO's own tool, the task, and a run."""

import contextlib
import dataclasses
import io
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import main
from tests.detection_cases import NAMES, make_boxes, make_outputs, measure
from trainer.centres import Peaks
from trainer.errors import UserError
from trainer.evaluate import evaluate
from trainer.experiment import load
from trainer.job import make_job, open_job
from trainer.metrics_instances import keypoint_scores
from trainer.predict import predict
from trainer.tasks.keypoint_detection import KeypointDetection
from trainer.train import train

SIGMAS = (0.03, 0.05, 0.1)
POINTS = ('nose', 'left', 'right')
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


def make_rows(seed, images=25, objects=5, found=12, classes=3):
    """Findings near objects and far from them, crowds, unlabelled, empty images."""
    rng = np.random.default_rng(seed)
    boxes = make_boxes(rng, images, objects, size=(100, 120)).astype(np.float32)
    labels = rng.integers(-1, classes - 1, (images, objects))
    labels[::8] = -1
    low, sides = boxes[..., 1::-1], (boxes[..., 2:] - boxes[..., :2])[..., ::-1]
    places = low[:, :, None] + rng.random((images, objects, 3, 2)) * sides[:, :, None]
    seen = rng.integers(0, 3, (images, objects, 3, 1))
    seen[rng.random((images, objects)) < 0.15] = 0
    keypoints = np.where(seen > 0, np.concatenate([places, seen], axis=-1), 0)
    which = rng.integers(0, objects, found)
    spoilt = rng.choice([0.02, 0.1, 0.6], (images, found, 1, 1))
    noise = rng.normal(size=(images, found, 3, 2)) * spoilt * sides[:, which, None]
    guessed = np.concatenate(
        [places[:, which] + noise, rng.random((images, found, 3, 1))], axis=-1
    )
    wrong = rng.integers(-1, classes, (images, found))
    guesses = np.where(rng.random(wrong.shape) < 0.8, labels[:, which], wrong)
    return {
        'boxes': boxes,
        'box_labels': labels,
        'crowd': (labels >= 0) & (rng.random(labels.shape) < 0.1),
        'areas': (0.6 * sides.prod(axis=-1)).astype(np.float32),
        'keypoints': keypoints.astype(np.float32),
        'found_boxes': boxes[:, which],
        'found_labels': guesses,
        'found_scores': (rng.integers(1, 60, (images, found)) / 60).astype(np.float32),
        'found_keypoints': guessed.astype(np.float32),
    }


def coco_reference(rows, num_classes):
    """AP of keypoints by pycocotools at each similarity, NaN where there is none."""
    coco, evaluation = (
        pytest.importorskip(f'pycocotools.{name}') for name in ('coco', 'cocoeval')
    )
    truth, found = [], []
    for i, n in np.argwhere(rows['box_labels'] >= 0):
        y0, x0, y1, x1 = map(float, rows['boxes'][i, n])
        points = np.float64(rows['keypoints'][i, n])
        truth.append(
            {
                'id': len(truth) + 1,
                'image_id': int(i),
                'category_id': int(rows['box_labels'][i, n]),
                'bbox': [x0, y0, x1 - x0, y1 - y0],
                'area': float(rows['areas'][i, n]),
                'iscrowd': int(rows['crowd'][i, n]),
                'keypoints': points.ravel().tolist(),
                'num_keypoints': int((points[:, 2] > 0).sum()),
            }
        )
    for i, n in np.argwhere(rows['found_labels'] >= 0):
        found.append(
            {
                'image_id': int(i),
                'category_id': int(rows['found_labels'][i, n]),
                'keypoints': np.float64(rows['found_keypoints'][i, n]).ravel().tolist(),
                'score': float(rows['found_scores'][i, n]),
            }
        )
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            'images': [{'id': i} for i in range(len(rows['boxes']))],
            'categories': [{'id': c} for c in range(num_classes)],
            'annotations': truth,
        }
        data.createIndex()
        tool = evaluation.COCOeval(data, data.loadRes(found), 'keypoints')
        tool.params.kpt_oks_sigmas = np.array(SIGMAS)
        tool.evaluate()
        tool.accumulate()
    precision = tool.eval['precision'][..., 0, -1]
    return np.where(precision < 0, np.nan, precision).mean(1)


@pytest.mark.parametrize('seed', range(4))
def test_scores_equal_those_of_pycocotools(seed):
    rows = make_rows(seed)
    precision = coco_reference(rows, 3)
    scores = keypoint_scores(rows, 3, SIGMAS)
    for name, part in {'': slice(None), '50': 0, '75': 5}.items():
        expected = np.nanmean(precision[part])
        assert scores[f'keypoint_ap{name}'] == pytest.approx(expected, abs=1e-6)
    assert 0.1 < scores['keypoint_ap'] < scores['keypoint_ap50'] < 1


def test_scores_of_nothing_are_none():
    assert set(keypoint_scores({}, 3, SIGMAS).values()) == {None}
    rows = make_rows(0)
    rows['keypoints'] = np.zeros_like(rows['keypoints'])
    assert set(keypoint_scores(rows, 3, SIGMAS).values()) == {None}


def prepared(names=NAMES, points=POINTS, shape=(32, 48, 3), **options):
    facts = types.SimpleNamespace(
        class_names=names, keypoint_names=points, image_shape=shape
    )
    return KeypointDetection(**options).prepare(facts)


def make_batch(seed, batch=4, objects=3):
    rng = np.random.default_rng(seed)
    boxes = make_boxes(rng, batch, objects).astype(np.float32)
    labels = rng.integers(-1, len(NAMES), (batch, objects)).astype(np.int32)
    labels[:, 0], labels[1] = 0, -1
    low, sides = boxes[..., 1::-1], (boxes[..., 2:] - boxes[..., :2])[..., ::-1]
    places = low[:, :, None] + rng.random((batch, objects, 3, 2)) * sides[:, :, None]
    keypoints = np.concatenate([places, np.full((batch, objects, 3, 1), 2)], axis=-1)
    return {
        'boxes': boxes,
        'box_labels': labels,
        'areas': sides.prod(axis=-1),
        'keypoints': keypoints.astype(np.float32),
        'mask': np.ones(batch, bool),
    }


def looked(task, batch, seed=0, size=8, points=None):
    """Outputs of a detector by chance that has looked where the task asks for."""
    outputs = make_outputs(seed)

    def apply(images, regions):
        boxes = regions(outputs)
        given = points
        if given is None:
            shape = (*boxes.shape[:2], size, size, len(POINTS))
            given = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        return {**outputs, 'regions': boxes, 'points': given}

    return task.eval_outputs(apply, batch), task.train_outputs(apply, batch)


def test_it_looks_into_what_is_found_and_into_what_there_is():
    task, batch = prepared(most=6, proposals=2), make_batch(0)
    evaluated, trained = looked(task, batch | {'image': None})
    found = Peaks((32, 48), 6)(make_outputs(0))['boxes']
    np.testing.assert_array_equal(evaluated['regions'][:, :6], found)
    np.testing.assert_array_equal(evaluated['regions'][:, 6:], batch['boxes'])
    np.testing.assert_array_equal(trained['regions'][:, :2], found[:, :2])
    np.testing.assert_array_equal(trained['regions'][:, 2:], batch['boxes'])
    predicted, _ = looked(task, {'image': None})
    np.testing.assert_array_equal(predicted['regions'], found)


def test_keypoints_are_decoded_in_their_boxes_and_nowhere_else():
    task, batch = prepared(most=6), make_batch(0)
    outputs, _ = looked(task, batch | {'image': None})
    decoded = task.decode(outputs)
    assert decoded['keypoints'].shape == (4, 6, 3, 3)
    y0, x0, y1, x1 = np.moveaxis(np.asarray(decoded['boxes']), -1, 0)[..., None]
    x, y, certain = np.moveaxis(np.asarray(decoded['keypoints']), -1, 0)
    assert ((x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)).all()
    assert ((certain > 0) & (certain < 1)).all()
    nothing = {**outputs, 'heatmap': np.full_like(outputs['heatmap'], -np.inf)}
    none = task.decode(nothing)
    assert (np.asarray(none['box_labels']) == -1).all() and not none['keypoints'].any()


def test_the_loss_is_that_of_boxes_and_of_keypoints():
    batch = make_batch(0) | {'image': None}
    boxes_alone = prepared(keypoint_weight=0.0)
    outputs, _ = looked(boxes_alone, batch)
    without = boxes_alone.loss(outputs, batch)
    once = prepared().loss(outputs, batch)
    twice = prepared(keypoint_weight=2.0).loss(outputs, batch)
    assert without.shape == (4,) and bool((once > without)[[0, 2, 3]].all())
    np.testing.assert_allclose(once[1], without[1])  # there is no object
    np.testing.assert_allclose(twice - without, 2 * (once - without), rtol=1e-4)


def test_a_crowd_has_no_keypoints_to_learn():
    batch = make_batch(0) | {'image': None}
    crowd = np.ones(batch['box_labels'].shape, bool)
    crowded = batch | {'crowd': crowd & (batch['box_labels'] >= 0)}
    outputs, _ = looked(prepared(), crowded)
    every = prepared().loss(outputs, crowded)
    alone = prepared(keypoint_weight=0.0).loss(outputs, crowded)
    np.testing.assert_array_equal(every, alone)


def test_masked_images_count_nowhere():
    task, batch = prepared(oks_sigmas=SIGMAS), make_batch(6)
    outputs, _ = looked(task, batch | {'image': None})
    every = task.summarize(measure(task, [(outputs, batch)]))
    again = batch | {'mask': np.zeros(4, bool)}
    assert every == task.summarize(measure(task, [(outputs, batch), (outputs, again)]))
    assert every['keypoint_ap'] is not None and every['map'] is not None
    nothing = task.summarize(measure(task, [(outputs, again)]))
    assert set(nothing.values()) == {None} and nothing.keys() == every.keys()
    assert task.best[0] in every and task.num_outputs == (3, 3)
    assert task.metrics(False) is task.metrics(False)
    assert list(task.metrics(True).__annotations__) == ['loss']


def outputs_of_a_detector():
    return prepared().loss(make_outputs(0), make_batch(0))


WRONG = {
    'KeypointDetection needs images with keypoints, and this data has none': (
        lambda: prepared(points=())
    ),
    'KeypointDetection needs images with boxes of named classes': (
        lambda: prepared(names=())
    ),
    r'KeypointDetection.oks_sigmas has 17 numbers, but the data has 3 keypoints': (
        lambda: prepared(oks_sigmas='coco')
    ),
    r'KeypointDetection needs regions .* but the model gives .* head KeypointRCNN\.': (
        outputs_of_a_detector
    ),
    'KeypointDetection needs the field .keypoints. in each example': (
        lambda: prepared().loss(
            make_outputs(0),
            {k: v for k, v in make_batch(0).items() if k != 'keypoints'},
        )
    ),
}


@pytest.mark.parametrize('message', WRONG)
def test_what_does_not_fit_is_refused_in_one_line(message):
    with pytest.raises(UserError, match=message) as raised:
        WRONG[message]()
    assert '\n' not in str(raised.value)


def test_a_head_that_does_not_fit_the_task_is_refused():
    with pytest.raises(UserError, match=r'Detector needs num_classes .* got \(1, 4\)'):
        open_job(load(['configs/keypoint_rcnn.gin'], ['Net.head = @Detector', *SMALL]))
    bindings = ['Net.head = @KeypointRCNN', 'Shapes.size = 32']
    with pytest.raises(UserError, match=r'needs a task with classes and keypoints'):
        open_job(load(['configs/detector.gin'], bindings))


@pytest.fixture(scope='module')
def job():
    return open_job(load(['configs/keypoint_rcnn.gin'], SMALL))


def test_scores_of_a_run_do_not_depend_on_the_batch(job):
    weights = job.init_state().weights
    scores = evaluate(job, 'test', *weights)
    images = dataclasses.replace(job.experiment.test_data, batch=16)
    datasets = {'train': job.datasets['train'], 'test': images.open()}
    other = evaluate(make_job(job.experiment, datasets), 'test', *weights)
    assert scores == pytest.approx(other, abs=1e-4)
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

            def apply(images, **asked):
                return job.recipe.network.apply(params, model_state, images, **asked)

            outputs = task.eval_outputs(apply, batch)
            boxes = dataclasses.replace(task, keypoint_weight=0.0)
            boxes = boxes.filled(
                class_names=task.class_names,
                image_size=task.image_size,
                keypoint_names=task.keypoint_names,
            ).loss(outputs, batch)
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
    return directory, train(load(['configs/keypoint_rcnn.gin'], bindings), directory)


def test_a_run_is_scored_predicted_and_drawn(run, tmp_path):
    directory, results = run
    assert 0 <= results['test/keypoint_ap'] <= 1 and 'test/map50' in results
    assert (directory / 'report.html').is_file()
    assert (directory / 'pictures' / 'test_random.png').is_file()
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
            assert x - 1e-3 <= point['x'] <= x + width + 1e-3
            assert y - 1e-3 <= point['y'] <= y + height + 1e-3
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
