"""Segmentation: losses and scores against plain loops, and a run from a config."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from tests.batch_sizes import same_scores
from tests.segmentation_cases import NAMES, make_dataset, make_maps, prepared
from trainer.data.source import IGNORE
from trainer.errors import UserError
from trainer.experiment import load
from trainer.job import open_job
from trainer.metrics import summarize
from trainer.metrics_segmentation import PixelAccuracy, segmentation_metrics
from trainer.tasks.segmentation import Segmentation, fit

SMALL = (
    'Shapes.size = 16',
    'Shapes.train = 40',
    'Shapes.test = 21',
    'UNet.width = 4',
    'UNet.depth = 1',
    'BATCH = 8',
)


def measure(collection, logits, labels, batch):
    """All images in padded batches; the padding holds NaN and labels."""
    total = collection.empty()
    update = jax.jit(
        lambda total, **b: total.merge(collection.single_from_model_output(**b))
    )
    for start in range(0, len(labels), batch):
        maps, found = logits[start : start + batch], labels[start : start + batch]
        padding = [(0, batch - len(found))]
        total = update(
            total,
            outputs=np.pad(maps, padding + 3 * [(0, 0)], constant_values=np.nan),
            segmentation=np.pad(found, padding + 2 * [(0, 0)]),
            losses=np.zeros(batch, np.float32),
            mask=np.arange(batch) < len(found),
            index=None,
        )
    return summarize(total)


@pytest.mark.parametrize('batch', [1, 4, 6, 16])
@pytest.mark.parametrize('absent', [(), (1,), (0, 3)])
def test_scores_equal_scikit_learn_and_a_loop(absent, batch):
    logits, labels = make_maps(3, classes=4, absent=absent)
    results = measure(segmentation_metrics(4, False), logits, labels, batch)
    scored = labels != IGNORE
    guesses, truth = logits.argmax(-1)[scored], labels[scored]
    expected = reference.jaccard_score(
        truth, guesses, labels=range(4), average=None, zero_division=0
    )
    for c in range(4):
        union = np.sum((truth == c) | (guesses == c))
        both = np.sum((truth == c) & (guesses == c))
        if c in absent:
            assert results[f'iou_class_{c}'] is None and union == 0
        else:
            assert results[f'iou_class_{c}'] == pytest.approx(both / union, abs=1e-9)
            assert expected[c] == pytest.approx(both / union, abs=1e-9)
    there = np.setdiff1d(range(4), absent)
    assert results['miou'] == pytest.approx(expected[there].mean(), abs=1e-9)
    accuracy = reference.accuracy_score(truth, guesses)
    assert results['acc_pixel'] == pytest.approx(accuracy, abs=1e-9)


def test_a_class_that_is_only_guessed_has_the_iou_zero():
    labels = np.zeros((1, 2, 2), np.uint8)
    logits = np.eye(2, dtype=np.float32)[[[[0, 1], [0, 0]]]]
    results = measure(segmentation_metrics(2, False), logits, labels, 1)
    assert results['iou_class_1'] == 0 and results['miou'] == 0.75 / 2


@pytest.mark.parametrize('train', [True, False])
def test_no_pixel_is_no_data(train):
    collection = segmentation_metrics(3, train)
    assert set(summarize(collection.empty()).values()) == {None}
    logits, labels = make_maps(4)
    results = measure(collection, logits, np.full_like(labels, IGNORE), 4)
    assert {results.pop('loss')} == {0.0} and set(results.values()) == {None}


def test_pixels_are_counted_beyond_32_bits():
    many = PixelAccuracy.of(jnp.array([3 * 10**9, 1], jnp.uint32))
    total = functools.reduce(PixelAccuracy.merge, [many] * 5, PixelAccuracy.empty())
    assert total.numbers.tolist() == [15 * 10**9, 5]
    assert total.compute() == 15 * 10**9 / (15 * 10**9 + 5)


def test_logits_are_cut_or_enlarged_to_the_image():
    maps = jnp.arange(2 * 8 * 8.0).reshape(2, 8, 8, 1)
    assert (fit(maps, (7, 6)) == maps[:, :7, :6]).all()
    assert fit(maps, (16, 20)).shape == (2, 16, 20, 1)
    assert fit(maps, (8, 8)) is maps
    vectors = jnp.ones((2, 3))
    assert fit(vectors, (8, 8)) is vectors


def test_prepare_knows_names_and_weights():
    task = prepared(class_weights='balanced')
    assert (task.num_outputs, task.class_names) == (3, NAMES)
    assert task.weights == pytest.approx((50 / 90, 5.0, 1.0))
    assert prepared(class_weights=[1, 2, 3]).weights == (1.0, 2.0, 3.0)
    assert hash(task) == hash(prepared(class_weights='balanced'))
    assert task.metrics(False) is segmentation_metrics(3, False)
    assert task.best[0] in task.summarize(task.metrics(False).empty())


WRONG = {
    'needs examples with a label map': lambda: Segmentation().prepare(make_dataset(())),
    'has 2 numbers, but the data has 3 classes': (
        lambda: prepared(class_weights=[1, 2])
    ),
    'has no kind .balance.': lambda: prepared(class_weights='balance'),
    'are both 0': lambda: prepared(cross_entropy=0),
    r'shape \(6, 5, 7, 3\).*gives \(6, 5, 7, 4\)': (
        lambda: prepared().loss(
            jnp.ones((6, 5, 7, 4)), {'segmentation': jnp.ones((6, 5, 7), 'uint8')}
        )
    ),
    r'gives \(6, 3\); give it a head such as Segmenter': (
        lambda: prepared().loss(
            jnp.ones((6, 3)), {'segmentation': jnp.ones((6, 5, 7), 'uint8')}
        )
    ),
}


@pytest.mark.parametrize('message', WRONG)
def test_what_does_not_fit_is_refused_in_one_line(message):
    with pytest.raises(UserError, match=message) as raised:
        WRONG[message]()
    assert '\n' not in str(raised.value)


@pytest.fixture(scope='module')
def job():
    experiment = load(
        ['configs/unet_segmentation.gin'],
        [*SMALL, "Segmentation.class_weights = 'balanced'"],
    )
    return open_job(experiment)


def test_balanced_weights_are_those_of_the_pixels(job):
    train = job.datasets['train']
    found = np.stack([train[i]['segmentation'] for i in range(len(train))])
    counts = np.bincount(found.ravel(), minlength=4)
    assert train.pixel_counts().tolist() == counts.tolist()
    np.testing.assert_allclose(job.task.weights, found.size / 4 / counts)


def test_scores_of_a_run_do_not_depend_on_the_batch(job):
    scores = same_scores(job, 16, 1e-5)
    assert {'test/loss', 'test/miou', 'test/acc_pixel', 'test/iou_class_3'} <= {*scores}


def test_a_step_learns_and_predictions_have_the_image_size(job):
    state, step = job.init_state(), job.compile_train_step()
    batch = next(job.datasets['train'].train_batches(0))
    losses = []
    for _ in range(3):
        state, watch = step(state, jax.device_put(batch))
        losses.append(float(watch['loss']))
    assert np.isfinite(losses).all()
    assert 0 < job.task.summarize(state.interval)['acc_pixel'] < 1
    outputs = job.task.eval_outputs(
        lambda images: jnp.ones((*images.shape[:3], 4)), {'image': batch['image']}
    )
    assert job.task.decode(outputs)['segmentation'].shape == (8, 16, 16)
