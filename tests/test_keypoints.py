"""Keypoints: losses, flips, scores of padded batches, and from a config to a score."""

import dataclasses
import types

import gin
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from trainer import heat_maps
from trainer.centres import Grid
from trainer.collected import Collector
from trainer.data import Images
from trainer.data.sources.shapes import Shapes
from trainer.errors import UserError
from trainer.evaluate import evaluate_run
from trainer.experiment import load
from trainer.metrics_keypoints import COCO_SIGMAS
from trainer.tasks.keypoints import Keypoints
from trainer.train import train

NAMES = ('left eye', 'right eye', 'nose')
PAIRS = ((0, 1),)
SIGMAS = (0.03, 0.05, 0.1)


def prepare(image_shape=(24, 32, 3), **fields):
    """A task for two eyes and a nose."""
    data = types.SimpleNamespace(
        keypoint_names=NAMES, flip_pairs=PAIRS, image_shape=image_shape
    )
    return Keypoints(**fields).prepare(data)


def draw_keypoints(rng, *shape, size=(24, 32)):
    """Keypoints some way inside of an image, of visibility 0, 1 or 2."""
    places = rng.uniform(3, np.array(size[::-1]) - 3, (*shape, 2))
    visibility = rng.integers(0, 3, (*shape, 1))
    return np.concatenate([places, visibility], axis=-1).astype(np.float32)


@pytest.mark.parametrize('penalty', ['mse', 'bce'])
def test_the_right_maps_cost_nothing_and_unlabelled_keypoints_never(penalty):
    task = prepare(penalty=penalty, sigma=1.5)
    keypoints = draw_keypoints(np.random.default_rng(2), 4, 1, 3)
    keypoints[..., 2] = [[[2, 1, 0]]] * 4
    keypoints[3, ..., 2] = 0
    maps = heat_maps.draw(Grid(24, 32, 12, 16), jnp.asarray(keypoints), 1.5)
    if penalty == 'bce':
        maps = jnp.log(maps + 1e-12) - jnp.log1p(-jnp.minimum(maps, 1 - 1e-6))
    batch = {'keypoints': jnp.asarray(keypoints)}
    wild = maps.at[..., 2].set(1e6)
    np.testing.assert_allclose(task.loss(wild, batch), 0, atol=1e-3)
    empty = task.loss(jnp.full_like(maps, -20.0 if penalty == 'bce' else 0), batch)
    assert empty.shape == (4,) and empty[3] == 0 and (empty[:3] > 0.9).all()


@pytest.mark.parametrize(('shape', 'sigma'), [((24, 32), 2.0), ((12, 16), 1.5)])
def test_the_squared_loss_counts_in_empty_maps_whatever_their_size(shape, sigma):
    batch = {'keypoints': np.array([[[[16.0, 12.0, 2.0]] * 3]], np.float32)}
    task, maps = prepare(sigma=sigma), np.zeros((1, *shape, 3), np.float32)
    value, gradient = jax.jit(jax.value_and_grad(mean_loss, 1), static_argnums=0)(
        task, maps, batch
    )
    np.testing.assert_allclose(value, 1, rtol=0.02)
    assert np.isfinite(gradient).all() and gradient.any()


def mean_loss(task, maps, batch):
    return task.loss(maps, batch).mean()


def apply_colours(images):
    """A net that sees keypoint k where channel k is bright, at stride 2."""
    batch, height, width, channels = images.shape
    cells = images.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return cells.mean(axis=(2, 4))


def test_the_flip_test_swaps_pairs_and_sides():
    def apply_names(images):
        """Finds the left eye, wherever it is in the picture, on the left side."""
        maps = apply_colours(images)
        return maps.at[:, :, maps.shape[2] // 2 :].multiply(0.5)

    images = jnp.asarray(np.random.default_rng(4).uniform(size=(2, 24, 32, 3)))
    plain = prepare().eval_outputs(apply_names, {'image': images})
    np.testing.assert_array_equal(plain, apply_names(images))
    both = prepare(flip_test=True).eval_outputs(apply_names, {'image': images})
    maps = np.asarray(apply_colours(images))
    left = np.arange(16) < 8
    own = maps * np.where(left, 1, 0.5)[:, None]
    swapped = maps[..., [1, 0, 2]] * np.where(left, 0.5, 1)[:, None]
    np.testing.assert_allclose(both, (own + swapped) / 2, rtol=1e-6)


def test_the_flip_test_refuses_a_width_that_cells_do_not_fill():
    task = prepare((24, 31, 3), flip_test=True)
    with pytest.raises(UserError, match='31 is no multiple of 2'):
        task.eval_outputs(
            lambda images: jnp.zeros((1, 12, 16, 3)),
            {'image': jnp.zeros((1, 24, 31, 3))},
        )


def measure(task, keypoints, maps, batch):
    """Everything in padded batches, as an evaluation does; the padding holds NaN."""
    metrics = task.metrics(train=False)
    collector, total = Collector(), metrics.empty()
    high = keypoints[..., :2].max(axis=(1, 2))[:, None, ::-1] + 2
    fields = {
        'keypoints': keypoints,
        'boxes': np.concatenate([np.zeros_like(high), high], axis=-1),
        'box_labels': np.zeros((len(maps), 1), np.int32),
        'areas': np.full((len(maps), 1), 400, np.float32),
        'outputs': maps,
    }

    @jax.jit
    def step(total, **batch):
        losses = task.loss(batch['outputs'], batch)
        return total.merge(metrics.single_from_model_output(losses=losses, **batch))

    for start in range(0, len(maps), batch):
        part = {name: value[start : start + batch] for name, value in fields.items()}
        count = len(part['outputs'])
        padded = {
            name: np.concatenate(
                [v, np.full((batch - count, *v.shape[1:]), -1, v.dtype)]
            )
            for name, v in part.items()
        }
        padded['outputs'][count:] = np.nan
        total = collector.take(step(total, **padded, mask=np.arange(batch) < count))
    return task.summarize(collector.give(total))


@pytest.fixture(scope='module')
def examples():
    """Keypoints of eleven images, and maps of places somewhat beside them."""
    rng = np.random.default_rng(7)
    keypoints = draw_keypoints(rng, 11, 1, 3)
    moved = keypoints.copy()
    moved[..., :2] += rng.normal(size=moved[..., :2].shape) * 1.5
    moved[..., 2] = 2
    maps = heat_maps.draw(Grid(24, 32, 12, 16), jnp.asarray(moved), 2.0)
    return keypoints, np.asarray(maps * rng.uniform(0.5, 1, (11, 1, 1, 3)), np.float32)


def test_scores_are_the_same_for_any_batch(examples):
    task = prepare(pck=(0.1, 0.05), oks_sigmas=SIGMAS)
    whole = measure(task, *examples, 11)
    assert {'loss', 'pck@0.1', 'pck@0.05', 'pck@0.05_keypoint_2', 'ap'} < set(whole)
    assert 0 < whole['pck@0.05'] < whole['pck@0.1'] and 0 < whole['ap'] < whole['ap50']
    for batch in (1, 4, 16):
        assert measure(task, *examples, batch) == pytest.approx(whole, rel=1e-6)


def test_no_data_is_none_and_the_metrics_are_one_class():
    task = prepare()
    for training in (True, False):
        empty = task.summarize(task.metrics(training).empty())
        assert set(empty.values()) == {None}
        assert task.metrics(training) is prepare().metrics(training)
    assert task.best[0] in empty


def test_decode_gives_places_in_pixels_and_a_score():
    keypoints = np.array(
        [[[[4.3, 5.2, 2], [20.1, 12.7, 2], [9.9, 17.5, 2]]]], np.float32
    )
    maps = heat_maps.draw(Grid(24, 32, 12, 16), jnp.asarray(keypoints), 1.5)
    for task, outputs in (
        (prepare(), maps * 0.8),
        (prepare(penalty='bce'), jax.scipy.special.logit(maps * 0.8)),
    ):
        decoded = jax.jit(task.decode)(outputs)
        assert decoded['keypoints'].shape == (1, 3, 3)
        np.testing.assert_allclose(
            decoded['keypoints'][0, :, :2], keypoints[0, 0, :, :2], atol=1e-3
        )
        np.testing.assert_allclose(
            decoded['score'], decoded['keypoints'][..., 2].mean(axis=-1)
        )


def test_sigmas_may_be_one_number_a_list_or_cocos():
    assert prepare(oks_sigmas=0.1).sigmas == (0.1, 0.1, 0.1)
    assert prepare(oks_sigmas=[0.1, 0.2, 0.3]).sigmas == (0.1, 0.2, 0.3)
    assert len(COCO_SIGMAS) == 17 and sum(COCO_SIGMAS) == pytest.approx(1.138)
    for wrong in ('coco', (0.1, 0.2)):
        with pytest.raises(UserError, match=r'oks_sigmas has .* data has 3 keypoints'):
            prepare(oks_sigmas=wrong)


def test_data_and_models_of_another_task_are_refused():
    for names, shape in (((), (8, 8, 3)), (NAMES, (5,))):
        data = types.SimpleNamespace(
            keypoint_names=names, flip_pairs=(), image_shape=shape
        )
        with pytest.raises(UserError, match='needs images with keypoints'):
            Keypoints().prepare(data)
    with pytest.raises(UserError, match='pck is empty'):
        Keypoints(pck=())
    with pytest.raises(
        UserError, match=r"'keypoints' in each example.* has only label;"
    ):
        prepare().loss(jnp.zeros((2, 12, 16, 3)), {'label': np.zeros(2)})
    with pytest.raises(
        UserError, match=r'of 3 keypoints, but the model gives \(2, 3\)'
    ):
        prepare().loss(jnp.zeros((2, 3)), {'keypoints': np.zeros((2, 1, 3, 3))})


def test_prepare_reads_the_data():
    images = Images(source=Shapes(kind='keypoints', train=8), split='train', batch=8)
    task = Keypoints().prepare(images.open())
    assert task.num_outputs == 4 and task.image_size == (64, 64)
    assert task.keypoint_names[0] == 'top_left' and task.flip_pairs == ((0, 1), (3, 2))


def test_gin_builds_it():
    gin.parse_config("Keypoints.oks_sigmas = 'coco'\nKeypoints.pck = [0.2]")
    task = gin.get_configurable(Keypoints)()
    gin.clear_config()
    assert (task.oks_sigmas, task.pck) == ('coco', (0.2,))


def test_the_shipped_config_trains_smaller(tmp_path):
    small = {'Shapes.size': 16, 'Shapes.train': 160, 'Shapes.test': 16, 'EPOCHS': 4}
    small |= {
        'BATCH': 16,
        'UNet.width': 8,
        'UNet.depth': 1,
        'Keypoints.flip_test': True,
    }
    bindings = [f'{name} = {value}' for name, value in small.items()]
    experiment = load(['configs/unet_keypoints.gin'], bindings)
    results = train(dataclasses.replace(experiment, eval_every=4), tmp_path / 'run')
    assert results['train/loss_epoch'] < 0.9
    assert 0 <= results['test/pck@0.1'] <= 1
    scores = evaluate_run(tmp_path / 'run')
    assert scores['test/ap'] == pytest.approx(results['test/ap'], rel=1e-6)
