"""The heads, each alone on maps: gradients, precision, independence, mistakes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import Classifier, Detector, KeypointHead, Regressor, Segmenter

HEADS = {
    'classifier': Classifier,
    'regressor': Regressor,
    'segmenter': functools.partial(Segmenter, fpn=8),
    'keypoints': functools.partial(KeypointHead, fpn=8),
    'detector': functools.partial(Detector, fpn=8),
    'segmenter-finest': functools.partial(Segmenter, fpn=None),
    'keypoints-finest': functools.partial(KeypointHead, fpn=None),
    'detector-finest': functools.partial(Detector, fpn=None),
}


def draw(*shape, seed=1):
    return jax.random.normal(jax.random.key(seed), shape)


@functools.cache
def build(head, dtype='float32'):
    make = functools.partial(HEADS[head], (4, 6), 3, strides=(2, 4), dtype=dtype)
    key = jax.random.key(0, impl='unsafe_rbg')
    return jax.jit(lambda key: nnx.split(make(rngs=nnx.Rngs(key))))(key)


def draw_maps(dtype='float32'):
    return [draw(4, 5, 5, 4).astype(dtype), draw(4, 3, 3, 6, seed=2).astype(dtype)]


def evaluating(model):
    return nnx.view(
        model, deterministic=True, use_running_average=True, raise_if_not_found=False
    )


@jax.jit
def apply(model, images):
    return model(images)


@pytest.mark.parametrize('head', HEADS)
def test_gradients_are_finite_and_reach_every_parameter(head):
    graph, params, rest = nnx.split(nnx.merge(*build(head)), nnx.Param, ...)

    @jax.jit
    @jax.grad
    def gradient(params):
        outputs = nnx.merge(graph, params, rest, copy=True)(draw_maps())
        return sum(jnp.sum(o * draw(*o.shape)) for o in jax.tree.leaves(outputs))

    for path, leaf in jax.tree.leaves_with_path(gradient(params)):
        assert jnp.isfinite(leaf).all() and jnp.any(leaf != 0), path


@pytest.mark.parametrize('head', ['segmenter', 'keypoints', 'detector'])
def test_images_of_a_batch_do_not_meet_in_evaluation(head):
    model, maps = evaluating(nnx.merge(*build(head), copy=True)), draw_maps()
    together = apply(model, maps)
    alone = [apply(model, [m[i : i + 1] for m in maps]) for i in range(4)]
    joined = jax.tree.map(lambda *images: jnp.concatenate(images), *alone)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-5), joined, together
    )


@pytest.mark.parametrize('head', HEADS)
def test_bfloat16_is_close_and_keeps_parameters_in_float32(head):
    exact = apply(evaluating(nnx.merge(*build(head), copy=True)), draw_maps())
    model = nnx.merge(*build(head, dtype='bfloat16'), copy=True)
    rounded = apply(evaluating(model), draw_maps('bfloat16'))
    for path, values in jax.tree.leaves_with_path(rounded):
        expected = dict(jax.tree.leaves_with_path(exact))[path]
        assert values.dtype == jnp.float32
        error = jnp.linalg.norm(values - expected) / jnp.linalg.norm(expected)
        assert error < 0.02, path
    kept = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype('float32')}


def test_an_untrained_detector_expects_few_centres():
    model = evaluating(nnx.merge(*build('detector'), copy=True))
    heatmap = nnx.sigmoid(apply(model, draw_maps())['heatmap'])
    np.testing.assert_allclose(heatmap, 0.1, atol=0.05)


def test_logits_are_enlarged_between_the_cells():
    head = Segmenter((1,), 1, fpn=None, strides=(2,), rngs=nnx.Rngs(0))
    head.dense.kernel[...] = jnp.ones((1, 1))
    row = head([jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)])[0, 0, :, 0]
    np.testing.assert_allclose(row, [0.0, 1.0, 3.0, 4.0])


def make(head, num_outputs=3, strides=(4, 8), **wrong):
    return head((8, 16), num_outputs, strides=strides, **wrong, rngs=nnx.Rngs(0))


WRONG = {
    'Classifier needs num_classes of at least 1; got 0.': (lambda: make(Classifier, 0)),
    'Regressor needs num_targets of at least 1; got 0.': lambda: make(Regressor, 0),
    'Regressor needs dropout in [0, 1); got -0.1.': (
        lambda: make(Regressor, dropout=-0.1)
    ),
    'Segmenter needs num_classes of at least 1; got 0.': lambda: make(Segmenter, 0),
    'Segmenter needs fpn of at least 1; got 0.': lambda: make(Segmenter, fpn=0),
    'KeypointHead needs num_keypoints of at least 1; got 0.': (
        lambda: make(KeypointHead, 0)
    ),
    'KeypointHead has no output_stride 2; choose 4 or 8.': (
        lambda: make(KeypointHead, output_stride=2)
    ),
    'Detector needs num_classes of at least 1; got 0.': lambda: make(Detector, 0),
    'Detector needs prior in (0, 1); got 1.': lambda: make(Detector, prior=1),
    'Detector needs maps [B, H, W, D], and this backbone gives only vectors; take': (
        lambda: make(Detector, strides=(None, None))
    ),
}


@pytest.mark.parametrize('message', WRONG)
def test_a_wrong_argument_says_what_would_be_right(message):
    with pytest.raises(ValueError) as raised:
        WRONG[message]()
    assert str(raised.value).startswith(message)
    assert '\n' not in str(raised.value)


def test_vectors_that_claim_positions_are_refused_when_they_come():
    vectors = [jax.ShapeDtypeStruct((2, size), jnp.float32) for size in (8, 16)]
    with pytest.raises(ValueError, match='gives only vectors'):
        nnx.eval_shape(lambda maps: make(Segmenter)(maps), vectors)
