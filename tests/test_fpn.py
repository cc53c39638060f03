"""The feature pyramid: sizes, which map learns of which, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import fpn
from models.fpn import FPN

CHANNELS, STRIDES = (3, 5, 7), (2, 4, 16)


def draw(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def draw_maps(height=33, width=50):
    return [
        draw(2, -(-height // stride), -(-width // stride), channels)
        for channels, stride in zip(CHANNELS, STRIDES, strict=True)
    ]


def make(levels=None, **options):
    return FPN(CHANNELS, STRIDES, 4, levels, **options, rngs=nnx.Rngs(0))


@pytest.mark.parametrize('size', [(1, 1), (16, 32), (33, 50)])
@pytest.mark.parametrize('levels', [None, 1, 2])
def test_gives_maps_of_one_width(levels, size):
    model = nnx.eval_shape(lambda: make(levels))
    maps = jax.eval_shape(lambda: draw_maps(*size))
    outputs = nnx.eval_shape(lambda model, maps: model(maps), model, maps)
    assert model.strides == STRIDES[:levels]
    assert model.channels == len(model.strides) * (4,)
    assert [m.shape for m in outputs] == [(*m.shape[:3], 4) for m in maps[:levels]]


def test_a_map_learns_of_the_coarser_ones_alone():
    model = nnx.view(make(), use_running_average=True)
    apply = jax.jit(lambda model, maps: model(maps))
    maps = draw_maps(16, 16)
    before = apply(model, maps)
    after = apply(model, [maps[0], maps[1] + 1, maps[2]])
    changed = [bool(jnp.any(b != a)) for b, a in zip(before, after, strict=True)]
    assert changed == [True, True, False]


def test_cells_lie_over_those_that_they_are_made_of():
    coarse = jnp.arange(6.0).reshape(1, 2, 3, 1)
    fine = fpn._enlarge(coarse, 2, (3, 5))[0, :, :, 0]
    np.testing.assert_array_equal(
        fine, [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]]
    )


def test_works_in_bfloat16_on_float32_parameters():
    model = nnx.eval_shape(lambda: make(dtype='bfloat16'))
    maps = [m.astype('bfloat16') for m in draw_maps(16, 16)]
    outputs = nnx.eval_shape(lambda model, maps: model(maps), model, maps)
    assert {m.dtype for m in outputs} == {jnp.dtype('bfloat16')}
    leaves = jax.tree.leaves(nnx.state(model))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype('float32')}


def test_one_map_is_a_pyramid_too():
    (output,) = FPN((3,), (16,), 4, rngs=nnx.Rngs(0))([draw(2, 2, 2, 3)])
    assert output.shape == (2, 2, 2, 4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'width': 0}, 'FPN needs width of at least 1; got 0.'),
        ({'strides': (4, 6, 8)}, 'strides that divide each other; got (4, 6, 8).'),
    ],
)
def test_a_wrong_argument_says_what_would_be_right(options, message):
    with pytest.raises(ValueError) as raised:
        FPN(CHANNELS, **{'strides': STRIDES, **options}, rngs=nnx.Rngs(0))
    assert str(raised.value).endswith(message)
