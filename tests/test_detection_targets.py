"""Detection: targets, losses and decoding against plain loops over objects."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.detection_cases import (
    NAMES,
    make_batch,
    make_boxes,
    make_outputs,
    measure,
    prepared,
)
from trainer.centres import Grid, Peaks, centre_maps, inside_maps
from trainer.losses_detection import centre_focal, generalised_iou


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
