"""Multi-label classification against scikit-learn, and from pictures to labels."""

import dataclasses
import types

import gin
import jax
import numpy as np
import pytest
from sklearn import metrics as reference

from trainer.collected import Collector
from trainer.data.checks import check_example
from trainer.data.sources.shapes import Shapes
from trainer.errors import UserError
from trainer.evaluate import evaluate_run
from trainer.experiment import load
from trainer.losses import sigmoid_cross_entropy
from trainer.metrics_multilabel import class_scores, multilabel_scores
from trainer.tasks.multilabel import MultiLabel, balanced_weights
from trainer.train import train

NUM_EXAMPLES, NUM_CLASSES = 50, 4


def prepare(**fields):
    """A task for four classes, of 10, 25, 40 and no examples in 50."""
    data = types.SimpleNamespace(
        class_names=('a', 'b', 'c', 'd'),
        num_examples=50,
        label_counts=lambda: np.array([10, 25, 40, 0]),
    )
    return MultiLabel(**fields).prepare(data)


@pytest.fixture
def examples():
    """Logits with many ties, and labels of which the last class never occurs."""
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(NUM_EXAMPLES, NUM_CLASSES)) < 0.4).astype(np.float32)
    labels[:, -1] = 0
    logits = labels + rng.normal(size=labels.shape)
    return np.round(logits, 1).astype(np.float32), labels


def measure(task, examples, batch):
    """Everything in padded batches, as an evaluation does; the padding holds NaN."""
    collector, total = Collector(), task.metrics(train=False).empty()

    @jax.jit
    def step(total, outputs, labels, mask):
        losses = task.loss(outputs, {'labels': labels})
        update = task.metrics(train=False).single_from_model_output(
            outputs=outputs, labels=labels, mask=mask, losses=losses, image=None
        )
        return total.merge(update)

    for start in range(0, NUM_EXAMPLES, batch):
        outputs, labels = (values[start : start + batch] for values in examples)
        padding = ((0, batch - len(labels)), (0, 0))
        outputs = np.pad(outputs, padding, constant_values=np.nan)
        mask = np.arange(batch) < len(labels)
        total = collector.take(step(total, outputs, np.pad(labels, padding), mask))
    return task.summarize(collector.give(total))


@pytest.mark.parametrize('batch', [1, 7, 50, 64])
def test_scores_equal_scikit_learn_for_any_batch(examples, batch):
    logits, labels = examples
    scores = measure(prepare(), examples, batch)
    occur = range(NUM_CLASSES - 1)
    precisions = [
        reference.average_precision_score(labels[:, i], logits[:, i]) for i in occur
    ]
    best = [best_f1(labels[:, i], logits[:, i]) for i in occur]
    assert scores['map'] == pytest.approx(np.mean(precisions), abs=1e-9)
    assert scores['f1'] == pytest.approx(np.mean(best), abs=1e-9)
    for i in occur:
        assert scores[f'ap_class_{i}'] == pytest.approx(precisions[i], abs=1e-9)
        assert scores[f'f1_class_{i}'] == pytest.approx(best[i], abs=1e-9)
        said = (
            1 / (1 + np.exp(-np.float64(logits[:, i])))
            >= scores[f'threshold_class_{i}']
        )
        assert reference.f1_score(labels[:, i], said) == pytest.approx(best[i])
    right = reference.accuracy_score(labels.ravel(), logits.ravel() > 0)
    assert scores['acc_labels'] == pytest.approx(right)


def best_f1(labels, logits):
    """By trying every threshold."""
    return max(reference.f1_score(labels, logits >= value) for value in set(logits))


def test_absent_classes_are_none_and_count_nowhere(examples):
    scores = measure(prepare(), examples, 16)
    for name in ('ap', 'f1', 'threshold'):
        assert scores[f'{name}_class_3'] is None
    assert scores['map'] == pytest.approx(
        np.mean([scores[f'ap_class_{i}'] for i in range(3)])
    )


def test_no_data_is_none():
    task = prepare()
    for training in (True, False):
        empty = task.summarize(task.metrics(training).empty())
        assert set(empty.values()) == {None}
    assert task.best[0] in empty
    assert task.metrics(train=False) is prepare().metrics(train=False)


def test_nan_is_no_score_and_no_error():
    scores = multilabel_scores(np.array([[np.nan], [1.0]]), np.array([[1.0], [0.0]]))
    assert np.isnan([scores['map'], scores['f1'], scores['ap_class_0']]).all()


def test_equal_scores_are_one_threshold():
    labels = np.array([1, 0, 1, 0])
    scores = class_scores(np.zeros(4, np.float32), labels)
    assert scores == {'ap': 0.5, 'f1': pytest.approx(2 / 3), 'threshold': 0.5}


def test_loss_is_the_mean_over_classes_in_numpy(examples):
    logits, labels = examples
    p, weights = 1 / (1 + np.exp(-np.float64(logits))), np.array([1, 2, 3, 4.0])
    yes = weights * labels * (1 - p) ** 2 * np.log(p)
    no = (1 - labels) * p**2 * np.log(1 - p)
    losses = sigmoid_cross_entropy(
        logits, labels, positive_weights=tuple(weights), focal_gamma=2.0
    )
    np.testing.assert_allclose(losses, -(yes + no).mean(axis=1), rtol=1e-5)
    plain = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean(axis=1)
    np.testing.assert_allclose(sigmoid_cross_entropy(logits, labels), plain, rtol=1e-5)


def test_the_loss_and_its_gradient_are_finite_for_sure_answers():
    logits = np.array([[200.0, -200.0, 200.0, -200.0]], np.float32)
    labels = np.array([[1.0, 1.0, 0.0, 0.0]], np.float32)
    value, gradient = jax.value_and_grad(
        lambda x: sigmoid_cross_entropy(x, labels, focal_gamma=0.5).sum()
    )(logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_the_task_weighs_as_the_config_says(examples):
    logits, labels = examples
    task = prepare(positive_weights='balanced', focal_gamma=1.0)
    assert task.weights == (4.0, 1.0, 0.25, 1.0)
    expected = sigmoid_cross_entropy(
        logits, labels, positive_weights=task.weights, focal_gamma=1.0
    )
    losses = jax.jit(task.loss)(logits, {'labels': labels})
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    assert balanced_weights(np.array([8]), 8) == (1.0,)


def test_decode_says_yes_from_the_threshold_on():
    task = prepare(threshold=(0.5, 0.9, 0.1, 0.5))
    decoded = task.decode(np.array([[1.0, 1.0, -1.0, -1.0]], np.float32))
    assert decoded['labels'].tolist() == [[True, False, True, False]]
    np.testing.assert_allclose(decoded['scores'][0, 0], 0.7310586, rtol=1e-6)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'positive_weights': [1, 2]}, 'positive_weights has 2 numbers.* 4 classes'),
        ({'positive_weights': [1, 2, 3, np.inf]}, 'give finite numbers above 0'),
        ({'positive_weights': 'equal'}, "no kind 'equal'; .*'balanced'"),
        ({'threshold': [0.5]}, 'threshold has 1 numbers, but the data has 4'),
    ],
)
def test_numbers_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        prepare(**fields)


def test_data_and_models_of_another_task_are_refused(examples):
    with pytest.raises(UserError, match='needs examples with labels'):
        MultiLabel().prepare(types.SimpleNamespace(class_names=()))
    with pytest.raises(UserError, match=r"'labels' in each example.* has only label;"):
        prepare().loss(examples[0], {'label': np.zeros(NUM_EXAMPLES), 'mask': None})
    with pytest.raises(UserError, match=r'shape \(50, 4\).*gives \(50, 2\)'):
        prepare().loss(examples[0][:, :2], {'labels': examples[1]})


@pytest.mark.parametrize('labels', [[0, 1, 2], [0, 1, np.nan]])
def test_labels_that_are_neither_yes_nor_no_are_named(labels):
    facts = Shapes(kind='labels', train=2).open('train')
    with pytest.raises(UserError, match=r'Shapes: example 7 has the labels .* 0 and 1'):
        check_example('Shapes: example 7', {'labels': np.array(labels)}, facts)


def test_gin_builds_it_with_lists():
    gin.parse_config('MultiLabel.positive_weights = [1, 2.5]')
    task = gin.get_configurable(MultiLabel)()
    gin.clear_config()
    assert task.positive_weights == (1.0, 2.5)


def test_a_config_trains_and_is_scored(tmp_path):
    files = ['configs/multilabel.gin', 'configs/models/mlp.gin']
    small = ['Shapes.size = 16', 'Shapes.train = 80', 'Shapes.test = 20', 'BATCH = 16']
    experiment = load(files, [*small, 'EPOCHS = 2'])
    results = train(dataclasses.replace(experiment, log_every=2), tmp_path / 'run')
    assert 0 <= results['val/map'] <= 1 and 0 <= results['test/ap_class_2'] <= 1
    scores = evaluate_run(tmp_path / 'run')
    assert scores['test/map'] == pytest.approx(results['test/map'], rel=1e-6)
