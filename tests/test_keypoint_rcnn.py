"""The head that looks into regions, alone on maps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import Detector, KeypointRCNN
from tests.test_heads import apply, draw, draw_maps, evaluating

SIZES = {'fpn': 8, 'depth': 2, 'width': 8}
REGIONS = jnp.array([[0.0, 0, 6, 8], [2, 3, 10, 9], [0, 0, 0, 0]])


@functools.cache
def build(dtype='float32'):
    make = functools.partial(
        KeypointRCNN, (4, 6), (3, 5), strides=(2, 4), dtype=dtype, **SIZES
    )
    key = jax.random.key(0, impl='unsafe_rbg')
    return jax.jit(lambda key: nnx.split(make(rngs=nnx.Rngs(key))))(key)


def regions(outputs):
    batch = outputs['heatmap'].shape[0]
    return jnp.broadcast_to(REGIONS, (batch, *REGIONS.shape))


@jax.jit
def look(model, maps):
    return model(maps, regions=regions)


def test_it_adds_a_map_of_each_keypoint_in_each_region():
    outputs = look(nnx.merge(*build(), copy=True), draw_maps())
    assert {name: maps.shape for name, maps in outputs.items()} == {
        'heatmap': (4, 5, 5, 3),
        'size': (4, 5, 5, 2),
        'offset': (4, 5, 5, 2),
        'regions': (4, 3, 4),
        'points': (4, 3, 56, 56, 5),
    }
    assert {maps.dtype for maps in outputs.values()} == {jnp.dtype('float32')}


def test_regions_are_in_pixels_of_the_image():
    model = evaluating(nnx.merge(*build(), copy=True))
    seen = []

    def branch(crops):
        seen.append(crops)
        return crops

    model.points = branch
    maps = draw_maps()
    merged = model.neck(maps)
    model(
        maps, regions=lambda outputs: jnp.tile(jnp.array([0, 0, 10.0, 10]), (4, 1, 1))
    )
    (crops,) = seen
    # The region is the image of 10 x 10 pixels: 5 x 5 cells.
    np.testing.assert_allclose(crops[:, 0, 0, 0], merged[:, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(crops[:, 0, -1, -1], merged[:, -1, -1], rtol=1e-5)


def test_without_regions_it_is_a_detector_with_a_detectors_weights():
    graph, state = build()
    detector = nnx.eval_shape(
        lambda: Detector((4, 6), 3, fpn=8, strides=(2, 4), rngs=nnx.Rngs(0))
    )
    model = evaluating(nnx.merge(graph, state, copy=True))
    own, others = (
        {path for path, _ in nnx.to_flat_state(nnx.state(part, nnx.Param))}
        for part in (detector, model)
    )
    assert own < others and {path[0] for path in others - own} == {'points'}
    plain = apply(model, draw_maps())
    assert plain.keys() == {'heatmap', 'size', 'offset'}
    looked = look(model, draw_maps())
    for name, values in plain.items():
        np.testing.assert_allclose(looked[name], values, atol=1e-5)


def test_gradients_are_finite_and_reach_every_parameter():
    graph, params, rest = nnx.split(nnx.merge(*build()), nnx.Param, ...)

    @jax.jit
    @jax.grad
    def gradient(params):
        model = nnx.merge(graph, params, rest, copy=True)
        outputs = model(draw_maps(), regions=regions)
        return sum(jnp.sum(o * draw(*o.shape)) for o in jax.tree.leaves(outputs))

    for path, leaf in jax.tree.leaves_with_path(gradient(params)):
        assert jnp.isfinite(leaf).all() and jnp.any(leaf != 0), path


def test_images_of_a_batch_do_not_meet_in_evaluation():
    model, maps = evaluating(nnx.merge(*build(), copy=True)), draw_maps()
    together = look(model, maps)['points']
    alone = [look(model, [m[i : i + 1] for m in maps])['points'] for i in range(4)]
    np.testing.assert_allclose(jnp.concatenate(alone), together, atol=1e-5)


def test_bfloat16_is_close_and_keeps_parameters_in_float32():
    exact = look(evaluating(nnx.merge(*build(), copy=True)), draw_maps())
    model = evaluating(nnx.merge(*build('bfloat16'), copy=True))
    rounded = look(model, draw_maps('bfloat16'))
    assert rounded['points'].dtype == jnp.float32
    error = jnp.linalg.norm(rounded['points'] - exact['points'])
    assert error < 0.03 * jnp.linalg.norm(exact['points'])
    kept = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    assert {leaf.dtype for leaf in jax.tree.leaves(kept)} == {jnp.dtype('float32')}


def make(num_outputs=(3, 4), head=KeypointRCNN, strides=(4, 8), **wrong):
    return head((8, 16), num_outputs, strides=strides, **wrong, rngs=nnx.Rngs(0))


WRONG = {
    'KeypointRCNN needs a task with classes and keypoints, such as @KeypointDetection()'
    '; this one asks for 3 outputs alone.': lambda: make(3),
    'KeypointRCNN needs num_classes of at least 1; got 0.': lambda: make((0, 4)),
    'KeypointRCNN needs num_keypoints of at least 1; got 0.': lambda: make((3, 0)),
    'KeypointRCNN needs depth of at least 1; got 0.': lambda: make(depth=0),
    'KeypointRCNN needs depth to be whole; got 1.5.': lambda: make(depth=1.5),
    'KeypointRCNN needs width of at least 1; got 0.': lambda: make(width=0),
    'KeypointRCNN needs prior in (0, 1); got 0.': lambda: make(prior=0),
    'KeypointRCNN needs maps [B, H, W, D], and this backbone gives only vectors': (
        lambda: make(strides=(None, None))
    ),
    'KeypointRCNN has no output_stride 2; choose 4 or 8.': (
        lambda: make(output_stride=2)
    ),
    'Detector needs num_classes to be one number; got (3, 4): what asks for several '
    'needs a head that takes them, such as KeypointRCNN.': lambda: make(head=Detector),
}


@pytest.mark.parametrize('message', WRONG)
def test_a_wrong_argument_says_what_would_be_right(message):
    with pytest.raises(ValueError) as raised:
        WRONG[message]()
    assert str(raised.value).startswith(message)
    assert '\n' not in str(raised.value)
