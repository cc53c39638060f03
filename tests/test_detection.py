"""Detection: scores against COCO's own tool, and a run from a config."""

import contextlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.batch_sizes import same_scores
from tests.detection_cases import (
    NAMES,
    make_batch,
    make_boxes,
    make_outputs,
    measure,
    prepared,
)
from trainer.coco_scores import box_iou
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import open_job
from trainer.metrics_detection import detection_scores

SMALL = (
    'Shapes.size = 16',
    'Shapes.train = 40',
    'Shapes.test = 21',
    'Net.backbone = @UNet',
    'Detector.fpn = None',
    'UNet.width = 4',
    'UNet.depth = 1',
    'BATCH = 8',
)


def coco_reference(rows, num_classes):
    """The same scores by pycocotools: of all, and of each class, NaN without data."""
    coco, evaluation = (
        pytest.importorskip(f'pycocotools.{name}') for name in ('coco', 'cocoeval')
    )

    def corner_form(box):
        y0, x0, y1, x1 = map(float, box)
        return [x0, y0, x1 - x0, y1 - y0]

    truth, found = [], []
    for i, n in np.argwhere(rows['box_labels'] >= 0):
        box = corner_form(rows['boxes'][i, n])
        label, crowd = int(rows['box_labels'][i, n]), int(rows['crowd'][i, n])
        truth.append({'id': len(truth) + 1, 'image_id': int(i), 'bbox': box})
        truth[-1] |= {'category_id': label, 'iscrowd': crowd, 'area': box[2] * box[3]}
    for i, n in np.argwhere(rows['found_labels'] >= 0):
        box, score = corner_form(rows['found_boxes'][i, n]), rows['found_scores'][i, n]
        found.append({'image_id': int(i), 'bbox': box, 'score': float(score)})
        found[-1]['category_id'] = int(rows['found_labels'][i, n])
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            'images': [{'id': i} for i in range(len(rows['boxes']))],
            'categories': [{'id': c} for c in range(num_classes)],
            'annotations': truth,
        }
        data.createIndex()
        tool = evaluation.COCOeval(data, data.loadRes(found), 'bbox')
        tool.evaluate()
        tool.accumulate()
    precision = tool.eval['precision'][..., 0, -1]
    return np.where(precision < 0, np.nan, precision).mean(1)


def make_rows(seed, images=30, objects=8, found=20, classes=4):
    """Findings near the objects and far from them, ties, crowds, empty images."""
    rng = np.random.default_rng(seed)
    boxes = make_boxes(rng, images, objects)
    labels = rng.integers(-1, classes - 1, (images, objects))
    labels[::7] = -1
    which = rng.integers(0, objects, found)
    spoilt = rng.choice([0.1, 1, 6], (images, found, 1))
    near = boxes[:, which] + rng.normal(size=(images, found, 4)) * spoilt
    near[..., 2:] = np.maximum(near[..., 2:], near[..., :2] + 0.5)
    scores = rng.integers(1, 40, (images, found)) / 40 / (1 + spoilt[..., 0])
    wrong = rng.integers(-1, classes, (images, found))
    guesses = np.where(rng.random(wrong.shape) < 0.7, labels[:, which], wrong)
    guesses[3] = -1
    return {
        'boxes': boxes.astype(np.float32),
        'box_labels': labels,
        'crowd': (labels >= 0) & (rng.random(labels.shape) < 0.15),
        'found_boxes': near.astype(np.float32),
        'found_scores': scores,
        'found_labels': guesses,
    }


@pytest.mark.parametrize('seed', range(4))
def test_scores_equal_those_of_pycocotools(seed):
    rows = make_rows(seed)
    precision = coco_reference(rows, 4)
    scores = detection_scores(rows, 4)
    assert scores['map'] == pytest.approx(np.nanmean(precision), abs=1e-6)
    assert scores['map50'] == pytest.approx(np.nanmean(precision[0]), abs=1e-6)
    assert 0.05 < scores['map'] < scores['map50'] < 0.95
    for c in range(3):
        assert scores[f'ap_class_{c}'] == pytest.approx(
            precision[:, c].mean(), abs=1e-6
        )
        assert scores[f'ap50_class_{c}'] == pytest.approx(precision[0, c], abs=1e-6)
    assert scores['ap_class_3'] is None and np.isnan(precision[:, 3]).all()


def test_more_than_a_hundred_findings_of_a_class_are_cut_as_by_pycocotools():
    rows = make_rows(9, images=4, found=250, classes=2)
    expected = np.nanmean(coco_reference(rows, 2))
    assert detection_scores(rows, 2)['map'] == pytest.approx(expected, abs=1e-6)


def test_scores_of_a_case_done_by_hand():
    rows = {
        'boxes': np.array([[[0, 0, 4, 4], [8, 8, 12, 12.0]]]),
        'box_labels': np.array([[0, 0]]),
        'crowd': np.zeros((1, 2), bool),
        'found_boxes': np.array([[[0, 0, 4, 4], [20, 20, 24, 24], [8, 8, 12, 11.0]]]),
        'found_scores': np.array([[0.9, 0.8, 0.7]]),
        'found_labels': np.zeros((1, 3), int),
    }
    scores = detection_scores(rows, 2)
    # Recall 0.5 at precision 1, recall 1 at 2/3 while an overlap of 3/4 is enough.
    half, whole = 51 / 101, 51 / 101 + 50 / 101 * 2 / 3
    assert scores['map50'] == pytest.approx(whole)
    assert scores['map'] == pytest.approx((6 * whole + 4 * half) / 10)
    assert scores['ap_class_1'] is None


def test_overlaps_with_crowds_are_shares_of_the_box():
    boxes = np.array([[0, 0, 2, 2], [0, 0, 0, 0.0]])
    objects = np.array([[0, 1, 4, 9], [0, 1, 2, 3.0]])
    found = box_iou(boxes, objects, np.array([True, False]))
    np.testing.assert_allclose(found, [[0.5, 1 / 3], [0, 0]])


def test_masked_images_and_absent_crowds_count_nowhere():
    task = prepared()
    outputs, batch = make_outputs(6), make_batch(6)
    del batch['crowd']
    every = task.summarize(measure(task, [(outputs, batch)]))
    again = batch | {'mask': np.zeros(4, bool)}
    padded = task.summarize(measure(task, [(outputs, batch), (outputs, again)]))
    assert every == padded and every['map'] is not None
    nothing = task.summarize(measure(task, [(outputs, again)]))
    assert set(nothing.values()) == {None}
    assert nothing.keys() == task.summarize(task.metrics(False).empty()).keys()


def test_the_same_metrics_at_every_call():
    assert prepared().metrics(False) is prepared().metrics(False)
    assert list(prepared().metrics(True).__annotations__) == ['loss']
    task = prepared()
    assert task.num_outputs == 3 and task.best[0] in task.summarize(
        task.metrics(False).empty()
    )


WRONG = {
    'needs images with boxes of named classes': lambda: prepared(names=()),
    'needs examples with boxes and box_labels; these have only image, mask': (
        lambda: prepared().loss(make_outputs(0), {'image': 0, 'mask': 0})
    ),
    'but the model gives.*such as Detector': (
        lambda: prepared().loss(jnp.ones((4, 3)), make_batch(0))
    ),
    r'heatmap \[B, h, w, 2\].*such as Detector': (
        lambda: prepared(names=NAMES[:2]).loss(make_outputs(0), make_batch(0))
    ),
}


@pytest.mark.parametrize('message', WRONG)
def test_what_does_not_fit_is_refused_in_one_line(message):
    with pytest.raises(UserError, match=message) as raised:
        WRONG[message]()
    assert '\n' not in str(raised.value)


@pytest.fixture(scope='module')
def job():
    return open_job(load(['configs/detector.gin'], SMALL))


def test_scores_of_a_run_do_not_depend_on_the_batch(job):
    scores = same_scores(job, 16, 1e-4)
    assert {'test/loss', 'test/map', 'test/map50', 'test/ap_class_2'} <= {*scores}


def test_a_step_learns(job):
    state, step = job.init_state(), job.compile_train_step()
    batch = jax.device_put(next(job.datasets['train'].train_batches(0)))
    losses = []
    for _ in range(3):
        state, watch = step(state, batch)
        losses.append(float(watch['loss']))
    assert np.isfinite(losses).all() and int(watch['bad_step']) == -1
