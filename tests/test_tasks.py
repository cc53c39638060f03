"""Tasks: Classification from description to numbers, and what a task must have."""

import dataclasses
import types

import gin
import jax
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from trainer.class_weights import balanced_weights
from trainer.errors import UserError
from trainer.losses import softmax_cross_entropy
from trainer.metrics import classification_metrics
from trainer.ranked import ranked_metrics
from trainer.tasks import Task
from trainer.tasks.classification import Classification


def make_dataset(counts):
    return types.SimpleNamespace(
        num_classes=len(counts),
        class_names=tuple(f'class {i}' for i in range(len(counts))),
        label_counts=lambda: np.array(counts),
    )


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return {
        'outputs': rng.normal(size=(8, 3)).astype(np.float32),
        'label': rng.integers(3, size=8).astype(np.int32),
        'mask': np.arange(8) < 6,
    }


def test_prepare_gives_a_copy_that_jit_can_close_over():
    task = Classification(class_weights=[1, 2, 3])
    prepared = task.prepare(make_dataset([5, 5, 5]))
    assert prepared.num_outputs == 3
    assert prepared.weights == (1.0, 2.0, 3.0)
    assert task.class_names == ()
    assert hash(prepared) == hash(task.prepare(make_dataset([5, 5, 5])))
    assert prepared != task


@pytest.mark.parametrize(
    ('counts', 'message'), [([], "has no classes; .* kind = 'label'"), ([9], 'class 0')]
)
def test_fewer_than_two_classes_are_no_classification(counts, message):
    with pytest.raises(UserError, match=message):
        Classification().prepare(make_dataset(counts))


def test_loss_uses_what_the_config_says(batch):
    task = Classification(
        label_smoothing=0.1, class_weights=[1, 2, 3], focal_gamma=2.0
    ).prepare(make_dataset([5, 5, 5]))
    losses = jax.jit(task.loss)(batch['outputs'], batch)
    expected = softmax_cross_entropy(
        batch['outputs'],
        batch['label'],
        label_smoothing=0.1,
        class_weights=(1, 2, 3),
        focal_gamma=2.0,
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


@pytest.mark.parametrize('counts', [[10, 20, 70], [10, 0, 90], [1, 1, 1, 1]])
def test_balanced_weights_equal_scikit_learn(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    present = np.unique(labels)
    expected = np.ones(len(counts))
    expected[present] = compute_class_weight('balanced', classes=present, y=labels)
    task = Classification(class_weights='balanced').prepare(make_dataset(counts))
    np.testing.assert_allclose(task.weights, expected, rtol=1e-12)
    assert np.mean(np.array(task.weights)[labels]) == pytest.approx(1)


def test_balanced_weights_of_no_data_are_ones():
    assert balanced_weights(np.zeros(3, int)) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ('weights', 'message'),
    [
        ([1, 2], 'has 2 numbers, but the data has 3 classes'),
        ([1, -2, 1], r'class_weights\[1\] is -2'),
        ([1, 2, float('nan')], r'class_weights\[2\] is nan'),
        ([0, 0, 0], 'all 0'),
        ('balance', "no kind 'balance'; .* 'balanced'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, message):
    with pytest.raises(UserError, match=message):
        Classification(class_weights=weights).prepare(make_dataset([1, 1, 1]))


def test_outputs_of_another_shape_are_refused(batch):
    task = Classification().prepare(make_dataset([1, 1, 1, 1]))
    with pytest.raises(UserError, match=r'shape \(8, 4\).*gives \(8, 3\)'):
        task.loss(batch['outputs'], batch)


def test_metrics_are_those_of_the_split():
    task = Classification().prepare(make_dataset([1, 1, 1]))
    assert task.metrics(True) is classification_metrics(3, True)
    assert task.metrics(False) is ranked_metrics(3)
    assert task.best[0] in task.summarize(task.metrics(False).empty())


def test_decode(batch):
    task = Classification().prepare(make_dataset([1, 1, 1]))
    decoded = task.decode(batch['outputs'])
    np.testing.assert_array_equal(decoded['label'], batch['outputs'].argmax(axis=1))
    assert decoded['probabilities'].shape == (8, 3)
    np.testing.assert_allclose(decoded['probabilities'].sum(axis=1), 1, rtol=1e-6)


def test_weights_can_be_set_in_python():
    task = dataclasses.replace(Classification(), class_weights=np.array([1.0, 2.0]))
    assert task.prepare(make_dataset([3, 3])).weights == (1.0, 2.0)


def test_gin_builds_it_with_a_list_of_weights():
    gin.parse_config('Classification.class_weights = [1, 0.5]')
    task = gin.get_configurable(Classification)()
    gin.clear_config()
    assert task.class_weights == (1.0, 0.5)


def test_a_task_of_ones_own_must_keep_the_contract():
    class Half(Task):
        def prepare(self, dataset):
            return self

    with pytest.raises(TypeError, match='abstract'):
        Half()
