"""Places in images whose side the stride of the maps does not divide."""

import jax
import numpy as np
import pytest

from models import vit
from trainer.centres import Grid
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import open_job
from trainer.tasks.task import Task

CONFIGS = {
    'Detector': 'configs/detector.gin',
    'KeypointHead': 'configs/unet_keypoints.gin',
    'KeypointRCNN': 'configs/keypoint_rcnn.gin',
}
RESNET = ['Net.backbone = @ResNet', 'ResNet.depth = 18', "ResNet.stem = 'imagenet'"]
VIT = ['Net.backbone = @ViT', "ViT.size = 'Ti/14'"]
UNET = ['Net.backbone = @UNet', 'UNet.width = 4', 'UNet.depth = 3']
UNET += ['UNet.output_stride = 8']
NETS = {  # bindings, side of the image, stride
    'resnet': (RESNET, 300, 32),
    'vit': (VIT, 256, 14),
    'unet': (UNET, 28, 8),
    'unet-divides': (UNET, 64, 8),
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch, quickly_compiled):
    monkeypatch.setitem(vit.SIZES, 'Ti', (32, 1, 2))


def opened(net, head='Detector', *more):
    """The job of a small net, and its side and stride."""
    bindings, side, stride = NETS[net]
    small = [
        f'Shapes.size = {side}',
        'Shapes.train = 40',
        'Shapes.test = 4',
        'BATCH = 2',
    ]
    said = [f'{head}.fpn = None', f'{head}.output_stride = {stride}', *more]
    return open_job(load([CONFIGS[head]], [*small, *bindings, *said])), side, stride


@pytest.mark.parametrize('head', CONFIGS)
def test_a_task_knows_the_stride_of_its_net(head):
    job, _, stride = opened('unet', head)
    assert job.task.stride == stride


def test_an_extended_task_hands_the_stride_on():
    more = ['Experiment.task = @Extended()', 'Extended.task = @Detection()']
    job, _, stride = opened('unet', 'Detector', *more)
    assert job.task.task.stride == stride
    peaks = job.task.task.metrics(train=False)
    assert job.task.metrics(train=False).__annotations__ == peaks.__annotations__


def seen_from(job, side, *cells):
    """How much each pixel counts for the features of each cell, [cells, side, side]."""
    network, rows = job.recipe.network, -(-side // job.task.stride)
    model = network.eval_model(*network.init(jax.random.key(0)))

    def feature(image, row, column):
        maps = [m for m in model.features(image) if m.shape[1:3] == (rows, rows)]
        return maps[0][0, row, column].sum()

    slope = jax.jit(jax.grad(feature))
    images = np.random.default_rng(0).normal(size=(2, 1, side, side, 3))
    images = images.astype(np.float32)
    return [
        np.sum([np.square(slope(image, *cell)).sum(-1)[0] for image in images], axis=0)
        for cell in cells
    ]


@pytest.mark.parametrize('net', ['vit', 'unet'])
def test_a_feature_comes_of_the_pixels_of_its_cell(net):
    job, side, stride = opened(net)
    rows = -(-side // stride)
    cell = rows - 2, rows // 2
    (energy,) = seen_from(job, side, cell)
    energy = np.pad(energy, (0, rows * stride - side))
    energy = energy.reshape(rows, stride, rows, stride).sum((1, 3))
    assert np.unravel_index(energy.argmax(), energy.shape) == cell


def test_from_cell_to_cell_a_feature_looks_a_stride_further():
    job, side, stride = opened('resnet')
    energy = np.array(seen_from(job, side, (3, 3), (6, 6)))
    share = energy.sum(2) / energy.sum((1, 2))[:, None]
    first, second = share @ (np.arange(side) + 0.5)
    assert (second - first) / 3 == pytest.approx(stride, abs=0.8)


def boxes_of(side):
    """Four boxes apart from each other, [1, 4, 4], the last at the image's end."""
    low = np.linspace(0.05, 0.8, 4) * side
    boxes = np.stack([low, low, low + side / 6, low + side / 5], axis=-1)
    return boxes.clip(0, side)[None].astype(np.float32)


@pytest.mark.parametrize('net', NETS)
def test_boxes_are_learnt_and_found_in_the_cells_where_features_lie(net):
    job, side, stride = opened(net)
    boxes, rows = boxes_of(side), -(-side // stride)
    batch = {'boxes': boxes, 'box_labels': np.array([[0, 1, 2, 0]], np.int32)}
    maps = {'heatmap': 3, 'offset': 2, 'size': 2}
    outputs = {k: np.zeros((1, rows, rows, d), np.float32) for k, d in maps.items()}
    outputs['heatmap'] -= 20
    for box, label in zip(boxes[0], batch['box_labels'][0], strict=True):
        centre = (box[:2] + box[2:]) / 2 / stride
        cell = 0, *centre.astype(int)
        outputs['heatmap'][cell][label] = 20
        outputs['offset'][cell] = centre % 1 - 0.5
        outputs['size'][cell] = np.log((box[2:] - box[:2]) / stride)
    assert (jax.jit(job.task.loss)(outputs, batch) < 1e-3).all()
    found = jax.jit(job.task.decode)(outputs)
    sure = found['scores'][0] > 0.5
    assert sure.sum() == 4
    order = np.argsort(found['boxes'][0][sure][:, 0])
    np.testing.assert_allclose(found['boxes'][0][sure][order], boxes[0], atol=1e-3)


@pytest.mark.parametrize('net', NETS)
def test_keypoints_are_learnt_and_found_in_the_cells_where_features_lie(net):
    job, side, stride = opened(net, 'KeypointHead')
    rows, spread = -(-side // stride), job.task.sigma
    places = np.array([[0.3, 0.4], [0.4, 0.5], [0.6, 0.5], [0.7, 0.6]]) * side
    row, column = np.mgrid[:rows, :rows]
    away = np.stack([column, row], -1)[:, :, None] + 0.5 - places / stride
    outputs = np.exp(-0.5 * (away**2).sum(-1) / spread**2)[None].astype(np.float32)
    seen = np.concatenate([places, np.full((4, 1), 2)], -1)[None, None]
    assert jax.jit(job.task.loss)(outputs, {'keypoints': seen}) < 1e-6
    found = jax.jit(job.task.decode)(outputs)['keypoints'][0]
    np.testing.assert_allclose(found[:, :2], places, atol=0.02 * stride)


def test_where_the_stride_divides_the_image_nothing_changes():
    job, side, stride = opened('unet-divides')
    shape = 1, side // stride, side // stride
    maps = {'heatmap': 3, 'offset': 2, 'size': 2}
    outputs = {name: np.zeros((*shape, depth)) for name, depth in maps.items()}
    batch = {'boxes': boxes_of(side), 'box_labels': np.zeros((1, 4), int)}

    def programs(task):
        loss = jax.make_jaxpr(task.loss)(outputs, batch)
        return str(loss), str(jax.make_jaxpr(task.decode)(outputs))

    assert programs(job.task) == programs(job.task.with_stride(None))


def test_a_head_that_says_no_stride_is_read_by_the_sizes():
    assert Grid(33, 21, 5, 3).stride == 8 and Grid(33, 21, 5, 3, 7).stride == 7
    assert Grid(300, 300, 9, 9, 32).stride == 32  # without the rest that is no cell
    with pytest.raises(
        UserError, match=r'says a stride of 8 .* 8 x 8 cells .* 32 x 32'
    ):
        Grid(32, 32, 8, 8, 8)


def test_a_task_without_places_stays_as_it_is():
    task = load(['configs/resnet18.gin']).task
    assert isinstance(task, Task) and task.with_stride(8) is task
