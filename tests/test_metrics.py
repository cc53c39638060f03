"""Metrics against scikit-learn, for any batch size, mask and absent class."""

import clu.metrics
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from trainer import parallel
from trainer.metrics import MeanLoss, classification_metrics, summarize, top_accuracy

NUM_EXAMPLES = 50


def make_examples(num_classes, absent=()):
    """Outputs with a chance to be right, labels without the absent classes, losses."""
    rng = np.random.default_rng(num_classes)
    present = np.setdiff1d(np.arange(num_classes), absent)
    label = rng.choice(present, size=NUM_EXAMPLES).astype(np.int32)
    outputs = rng.normal(size=(NUM_EXAMPLES, num_classes)).astype(np.float32)
    outputs[np.arange(NUM_EXAMPLES), label] += 1
    losses = rng.exponential(size=NUM_EXAMPLES).astype(np.float32)
    return outputs, label, losses


def measure(collection, examples, batch):
    """The whole set in padded batches; the padding holds NaN and wrong labels."""
    total = collection.empty()
    update = jax.jit(lambda total, **b: total.merge(one_batch(collection, b)))
    for start in range(0, NUM_EXAMPLES, batch):
        outputs, label, losses = (x[start : start + batch] for x in examples)
        padding = batch - len(label)
        total = update(
            total,
            outputs=np.pad(outputs, ((0, padding), (0, 0)), constant_values=np.nan),
            label=np.pad(label, (0, padding)),
            losses=np.pad(losses, (0, padding), constant_values=np.nan),
            mask=np.arange(batch) < len(label),
        )
    return summarize(total)


def one_batch(collection, batch):
    return collection.single_from_model_output(**batch, image=None, index=None)


def expected(examples, num_classes):
    outputs, label, losses = examples
    guess, classes = outputs.argmax(axis=1), np.arange(num_classes)
    results = {'loss': losses.astype(np.float64).mean()}
    results['acc_top1'] = reference.accuracy_score(label, guess)
    results['acc_top5'] = 1.0
    if num_classes > 5:
        results['acc_top5'] = reference.top_k_accuracy_score(
            label, outputs, k=5, labels=classes
        )
    recall = reference.recall_score(
        label, guess, labels=classes, average=None, zero_division=np.nan
    )
    for i, value in enumerate(recall):
        results[f'acc_class_{i}'] = None if np.isnan(value) else value
    return results


@pytest.mark.parametrize('batch', [1, 7, 16, 50, 64])
@pytest.mark.parametrize(
    ('num_classes', 'absent'), [(3, ()), (3, (1,)), (10, (0, 9)), (6, ())]
)
def test_equals_scikit_learn(num_classes, absent, batch):
    examples = make_examples(num_classes, absent)
    results = measure(classification_metrics(num_classes, False), examples, batch)
    reference_results = expected(examples, num_classes)
    assert results.keys() == reference_results.keys()
    for name, value in reference_results.items():
        assert results[name] == pytest.approx(value, abs=1e-6), name
    assert [i for i in range(num_classes) if results[f'acc_class_{i}'] is None] == list(
        absent
    )


def test_training_measures_only_what_is_cheap():
    assert list(measure(classification_metrics(3, True), make_examples(3), 16)) == [
        'loss',
        'acc_top1',
    ]


@pytest.mark.parametrize('train', [True, False])
def test_no_data_is_none_and_never_zero_or_nan(train):
    collection = classification_metrics(3, train)
    assert set(summarize(collection.empty()).values()) == {None}
    batch = {
        'outputs': np.zeros((4, 3), np.float32),
        'label': np.zeros(4, np.int32),
        'losses': np.ones(4, np.float32),
    }
    masked = collection.single_from_model_output(**batch, mask=np.zeros(4, bool))
    assert set(summarize(masked).values()) == {None}
    none = {name: value[:0] for name, value in batch.items()}
    nobody = collection.single_from_model_output(**none, mask=np.zeros(0, bool))
    assert set(summarize(nobody).values()) == {None}
    assert np.isnan(collection.empty().compute()['loss'])


def test_a_loss_that_is_nan_stays_nan():
    loss = MeanLoss.from_model_output(
        losses=jnp.array([1.0, jnp.nan]), mask=jnp.array([True, True])
    )
    collection = clu.metrics.Collection.create_collection(loss=loss)
    assert np.isnan(summarize(collection)['loss'])


def test_merging_keeps_the_rounding_error():
    values = np.full(20_000, 0.1, np.float32)

    def add(total, value):
        mask = jnp.ones(1, bool)
        update = MeanLoss.from_model_output(losses=value[None], mask=mask)
        return total.merge(update), None

    total, _ = jax.lax.scan(add, MeanLoss.empty(), values)
    exact = np.float64(values[0])
    assert abs(np.cumsum(values)[-1] / 20_000 / exact - 1) > 1e-6
    assert total.compute() == pytest.approx(exact, rel=1e-12)


def test_merge_is_associative():
    collection = classification_metrics(6, False)
    outputs, label, losses = make_examples(6)
    a, b, c = (
        collection.single_from_model_output(
            outputs=outputs[i::3],
            label=label[i::3],
            losses=losses[i::3],
            mask=np.ones(len(label[i::3]), bool),
        )
        for i in range(3)
    )
    left = summarize(a.merge(b).merge(c))
    right = summarize(a.merge(b.merge(c)))
    assert left == pytest.approx(right, rel=1e-12)


def test_ties_go_to_the_lower_class_and_nan_is_never_right():
    nan = np.nan
    outputs = np.array([[1, 1, 1], [1, 1, 1], [nan, 0, 1], [0, nan, 1]], np.float32)
    batch = {'label': np.array([0, 1, 0, 2]), 'mask': np.ones(4, bool)}
    top1, top2 = (
        top_accuracy(k).from_model_output(outputs=outputs, **batch) for k in (1, 2)
    )
    assert (int(top1.hits), int(top2.hits)) == (1, 3)


def test_the_step_compiles_once():
    collection = classification_metrics(3, False)
    assert collection is classification_metrics(3, False)
    update = jax.jit(lambda total, **b: total.merge(one_batch(collection, b)))
    total = collection.empty()
    outputs, label, losses = make_examples(3)
    for _ in range(3):
        mask = np.ones(NUM_EXAMPLES, bool)
        total = update(total, outputs=outputs, label=label, losses=losses, mask=mask)
    assert update._cache_size() == 1


def test_the_empty_state_can_be_donated():
    collection = classification_metrics(3, False)
    double = jax.jit(lambda total: total.merge(total), donate_argnums=0)
    assert set(summarize(double(collection.empty())).values()) == {None}


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r'shape \(3,\) .* \(4,\)'):
        MeanLoss.from_model_output(losses=jnp.ones(4), mask=jnp.ones(3, bool))


def test_metrics_of_clu_and_their_empty_state_are_summarized_too():
    collection = clu.metrics.Collection.create(
        mean=clu.metrics.Average.from_output('losses')
    )
    assert summarize(collection.empty()) == {'mean': None}
    update = collection.single_from_model_output(
        losses=jnp.array([1.0, 2.0, 9.0]), mask=jnp.array([True, True, False])
    )
    assert summarize(update) == {'mean': 1.5}


@pytest.mark.parametrize('backend', ['cpu', 'gpu'])
def test_what_is_fetched_is_on_the_host(monkeypatch, backend):
    given = {'a': jnp.arange(3), 'b': jnp.float32(0.1), 'c': 2.5}
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    for name, came in parallel.fetch(given).items():
        assert not isinstance(came, jax.Array)
        np.testing.assert_array_equal(came, given[name])
