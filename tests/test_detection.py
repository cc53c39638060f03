"""Detection: targets and losses against plain loops, scores against COCO's own tool."""

import contextlib
import dataclasses
import io
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer.centres import Grid, Peaks, centre_maps, inside_maps
from trainer.coco_scores import box_iou
from trainer.errors import UserError
from trainer.evaluate import evaluate
from trainer.experiment import load
from trainer.job import make_job, open_job
from trainer.losses_detection import centre_focal, generalised_iou
from trainer.metrics_detection import detection_scores
from trainer.tasks.detection import Detection

NAMES = ('circle', 'square', 'triangle')
SMALL = (
    'Shapes.size = 16',
    'Shapes.train = 40',
    'Shapes.test = 21',
    'UNet.width = 4',
    'UNet.depth = 1',
    'BATCH = 8',
)


def prepared(names=NAMES, shape=(32, 48, 3), **options):
    facts = types.SimpleNamespace(class_names=names, image_shape=shape)
    return Detection(**options).prepare(facts)


def make_boxes(rng, *shape, size=(32, 48)):
    """Random boxes of some area, y0, x0, y1, x1."""
    corners = rng.random((*shape, 2, 2)) * np.subtract(size, 4)
    low = corners.min(-2)
    return np.concatenate([low, corners.max(-2) + 1 + 3 * rng.random(low.shape)], -1)


def make_batch(seed, batch=4, objects=5):
    """Boxes with padding anywhere, crowds, and an image without any object."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, len(NAMES), (batch, objects)).astype(np.int32)
    labels[1] = -1
    return {
        'boxes': make_boxes(rng, batch, objects).astype(np.float32),
        'box_labels': labels,
        'crowd': (labels >= 0) & (rng.random(labels.shape) < 0.2),
        'mask': np.ones(batch, bool),
    }


def make_outputs(seed, batch=4, rows=8, columns=12):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(batch, rows, columns, depth)).astype(np.float32)
        for name, depth in (('heatmap', len(NAMES)), ('offset', 2), ('size', 2))
    }


@pytest.mark.parametrize(
    ('image', 'cells', 'stride'),
    [
        ((32, 48), (8, 12), 4),
        ((33, 21), (5, 3), 8),
        ((28, 42), (2, 3), 14),
        ((9, 10), (9, 10), 1),
        ((32, 33), (4, 5), 8),
    ],
)
def test_the_stride_follows_from_the_sizes(image, cells, stride):
    assert Grid(*image, *cells).stride == stride


def test_boxes_and_what_a_detector_says_are_each_others_inverse():
    grid = Grid(32, 48, 8, 12)
    boxes = make_boxes(np.random.default_rng(0), 3, 6)
    cells = grid.cells_of(boxes)
    offset, size = grid.offset_and_size(boxes, cells)
    assert np.abs(offset).max() <= 0.5 + 1e-6
    np.testing.assert_allclose(grid.boxes(offset, size, cells), boxes, atol=1e-4)


def test_centre_maps_equal_a_loop_over_objects():
    batch, grid = make_batch(1), Grid(32, 48, 8, 12)
    found = jax.jit(lambda b, c: centre_maps(grid, b, c, 3))(
        batch['boxes'], batch['box_labels']
    )
    expected = np.zeros((4, 8, 12, 3))
    row, column = np.mgrid[:8, :12]
    for i, n in np.argwhere(batch['box_labels'] >= 0):
        y0, x0, y1, x1 = batch['boxes'][i, n]
        away_y = row - (y0 + y1) / 2 // 4
        away_x = column - (x0 + x1) / 2 // 4
        sigma_y, sigma_x = 0.09 * (y1 - y0) / 4, 0.09 * (x1 - x0) / 4
        bell = np.exp(-((away_y / sigma_y) ** 2 + (away_x / sigma_x) ** 2) / 2)
        heat = expected[i, ..., batch['box_labels'][i, n]]
        heat[:] = np.maximum(heat, bell)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert ((found == 1) == (expected == 1)).all() and not found[1].any()


def test_inside_maps_hold_the_middles_of_cells():
    boxes = np.array([[[4.0, 6.0, 13.0, 11.0], [0, 0, 32, 48]]])
    inside = inside_maps(Grid(32, 48, 8, 12), boxes, np.array([[2, -1]]), 3)
    assert np.argwhere(inside[0]).tolist() == [
        [1, 1, 2],
        [1, 2, 2],
        [2, 1, 2],
        [2, 2, 2],
    ]


def test_the_focal_loss_equals_its_formula():
    rng = np.random.default_rng(2)
    logits, targets = rng.normal(size=(2, 3, 4, 5, 2))
    targets = np.clip(np.abs(targets), 0, 1)
    scored, count = rng.random(logits.shape) < 0.8, np.array([0, 1, 3])
    p = 1 / (1 + np.exp(-logits))
    losses = np.where(
        targets == 1,
        -((1 - p) ** 2) * np.log(p),
        scored * -((1 - targets) ** 4) * p**2 * np.log(1 - p),
    )
    expected = losses.sum((1, 2, 3)) / [1, 1, 3]
    found = centre_focal(logits, targets, scored, count)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_generalised_iou_of_known_boxes():
    box = jnp.array([0.0, 0.0, 2.0, 2.0])
    others = jnp.array([[0, 0, 2, 2], [0, 1, 2, 3], [0, 2, 2, 4], [4, 0, 6, 2]])
    found = generalised_iou(box, others.astype(jnp.float32))
    np.testing.assert_allclose(found, [1, 1 / 3, 0, -1 / 3], atol=1e-6)
    assert generalised_iou(jnp.zeros(4), jnp.zeros(4)) == 0


@pytest.mark.parametrize('box_loss', ['giou', 'l1'])
def test_what_draws_the_labels_has_little_loss_and_decodes_to_them(box_loss):
    task, batch = prepared(box_loss=box_loss, most=5), make_batch(3, objects=3)
    batch['crowd'][:] = False
    outputs = perfect_outputs(batch)
    assert (task.loss(outputs, batch) < 1e-3).all()
    assert (task.loss(make_outputs(3), batch) > 1).all()
    found = jax.jit(task.decode)(outputs)
    scores = task.summarize(measure(task, [(outputs, batch)]))
    assert scores['map'] == scores['map50'] == 1.0
    for i, labels in enumerate(batch['box_labels']):
        sure = np.asarray(found['scores'][i]) > 0.5
        assert sorted(found['box_labels'][i][sure].tolist()) == sorted(
            labels[labels >= 0].tolist()
        )


def perfect_outputs(batch, cells=(8, 12)):
    """What a detector that knows the labels says."""
    grid = Grid(32, 48, *cells)
    heat = centre_maps(grid, batch['boxes'], batch['box_labels'], len(NAMES))
    outputs = {'heatmap': np.where(heat == 1, 20.0, -20.0)}
    outputs |= {name: np.zeros((len(heat), *cells, 2)) for name in ('offset', 'size')}
    for i, n in np.argwhere(batch['box_labels'] >= 0):
        box = batch['boxes'][i, n]
        cell = tuple(np.asarray(grid.cells_of(box)))
        said = grid.offset_and_size(box, np.array(cell))
        outputs['offset'][i][cell], outputs['size'][i][cell] = said
    return {name: value.astype(np.float32) for name, value in outputs.items()}


def test_padding_and_crowds_are_not_learnt():
    task, batch = prepared(), make_batch(4)
    batch['crowd'][2] = batch['box_labels'][2] >= 0
    outputs = make_outputs(4)

    @jax.jit
    def losses(outputs, batch):
        return task.loss(outputs, batch)

    moved = batch['boxes'] + 3 * (batch['box_labels'] < 0)[..., None]
    expected = losses(outputs, batch)
    assert (expected == losses(outputs, batch | {'boxes': moved})).all()
    assert losses(outputs, {k: v for k, v in batch.items() if k != 'crowd'})[1] > 0
    gradient = jax.grad(lambda o: losses(o, batch).sum())(outputs)
    assert all(np.isfinite(g).all() for g in gradient.values())
    assert not gradient['size'][1:3].any()
    hidden = inside_maps(
        Grid(32, 48, 8, 12),
        batch['boxes'],
        np.where(batch['crowd'], batch['box_labels'], -1),
        3,
    )
    assert hidden[2].any() and not gradient['heatmap'][2][hidden[2]].any()


def test_only_peaks_are_found_the_highest_first():
    heat = np.full((1, 8, 12, 3), -9.0, np.float32)
    heat[0, 2, 3, 1], heat[0, 2, 4, 1], heat[0, 6, 6, 0] = 1.0, 2.0, 3.0
    outputs = make_outputs(5, batch=1) | {'heatmap': heat}
    found = Peaks((32, 48), 300)(outputs)
    assert found['scores'].shape == (1, 8 * 12 * 3)
    assert found['box_labels'][0, :2].tolist() == [0, 1]
    assert (np.diff(found['scores'][0]) <= 0).all()
    assert ((found['scores'] == 0) == (found['box_labels'] == -1)).all()
    assert (found['boxes'] >= 0).all()
    assert (found['boxes'].max((0, 1)) <= np.array([32, 48, 32, 48])).all()


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


def measure(task, batches):
    """The metrics of several batches of outputs and labels."""
    collection = task.metrics(train=False)
    parts = [
        collection.single_from_model_output(
            outputs=outputs, losses=jnp.zeros(len(batch['mask'])), **batch
        )
        for outputs, batch in batches
    ]
    total = collection.empty()
    for part in parts:
        total = total.merge(part)
    return total


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
    weights = job.init_state().weights
    scores = evaluate(job, 'test', *weights)
    images = dataclasses.replace(job.experiment.test_data, batch=16)
    datasets = {'train': job.datasets['train'], 'test': images.open()}
    other = evaluate(make_job(job.experiment, datasets), 'test', *weights)
    assert scores == pytest.approx(other, abs=1e-4)
    assert {'test/loss', 'test/map', 'test/map50', 'test/ap_class_2'} <= {*scores}


def test_a_step_learns(job):
    state, step = job.init_state(), job.compile_train_step()
    batch = jax.device_put(next(job.datasets['train'].train_batches(0)))
    losses = []
    for _ in range(3):
        state, watch = step(state, batch)
        losses.append(float(watch['loss']))
    assert np.isfinite(losses).all() and int(watch['bad_step']) == -1
