"""The task of boxes with keypoints: what it asks of a head, learns and reads."""

import types

import jax
import numpy as np
import pytest

from tests.detection_cases import NAMES, make_boxes, make_outputs, measure
from trainer.centres import Peaks
from trainer.errors import UserError
from trainer.region_points import padded
from trainer.tasks.keypoint_detection import KeypointDetection

SIGMAS = (0.03, 0.05, 0.1)
POINTS = ('nose', 'left', 'right')


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


def looked(task, batch, seed=0, size=8):
    """Outputs of a detector by chance that has looked where the task asks for."""
    outputs = make_outputs(seed)

    def apply(images, regions):
        boxes = regions(outputs)
        shape = (*boxes.shape[:2], size, size, len(POINTS))
        points = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        return {**outputs, 'regions': boxes, 'points': points}

    return task.eval_outputs(apply, batch), task.train_outputs(apply, batch)


def test_it_looks_into_what_is_found_and_into_what_there_is():
    task, batch = prepared(most=6, proposals=2, padding=0.5), make_batch(0)
    evaluated, trained = looked(task, batch | {'image': None})
    found = padded(Peaks((32, 48), 6)(make_outputs(0))['boxes'], 0.5)
    low, high = np.split(batch['boxes'], 2, axis=-1)
    there = np.concatenate([1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low], axis=-1)
    np.testing.assert_array_equal(evaluated['regions'][:, :6], found)
    np.testing.assert_allclose(evaluated['regions'][:, 6:], there, atol=1e-5)
    np.testing.assert_array_equal(trained['regions'][:, :2], found[:, :2])
    np.testing.assert_allclose(trained['regions'][:, 2:], there, atol=1e-5)
    predicted, _ = looked(task, {'image': None})
    np.testing.assert_array_equal(predicted['regions'], found)


@pytest.mark.parametrize('padding', [0.0, 0.25])
def test_keypoints_are_decoded_in_their_regions_and_nowhere_else(padding):
    task, batch = prepared(most=6, padding=padding), make_batch(0)
    outputs, _ = looked(task, batch | {'image': None})
    decoded = task.decode(outputs)
    assert decoded['keypoints'].shape == (4, 6, 3, 3)
    regions = np.asarray(padded(decoded['boxes'], padding))
    y0, x0, y1, x1 = np.moveaxis(regions, -1, 0)[..., None] + [
        [[[-1e-4]]],
        [[[-1e-4]]],
        [[[1e-4]]],
        [[[1e-4]]],
    ]
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
    tasks = boxes_alone, prepared(), prepared(keypoint_weight=2.0)
    losses = jax.jit(lambda *given: [task.loss(*given) for task in tasks])
    without, once, twice = losses(outputs, batch)
    assert without.shape == (4,) and (once[0], once[2]) > (without[0], without[2])
    np.testing.assert_allclose(once[1], without[1])  # there is no object
    np.testing.assert_allclose(twice - without, 2 * (once - without), rtol=1e-4)


def test_a_crowd_has_no_keypoints_to_learn():
    batch = make_batch(0) | {'image': None}
    crowd = np.ones(batch['box_labels'].shape, bool)
    crowded = batch | {'crowd': crowd & (batch['box_labels'] >= 0)}
    outputs, _ = looked(prepared(), crowded)
    every = jax.jit(prepared().loss)(outputs, crowded)
    alone = jax.jit(prepared(keypoint_weight=0.0).loss)(outputs, crowded)
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
    r"KeypointDetection.oks_sigmas is 'hands'; give numbers, or 'coco'.": (
        lambda: prepared(oks_sigmas='hands')
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
