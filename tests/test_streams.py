"""Keys are those of `nnx.Rngs`, bit for bit."""

import time

import jax
import numpy as np
import pytest
from flax import nnx

from models.streams import Stream, make_rngs


def draw(rngs):
    """What modules ask of streams: defaults, by name, forked, split."""
    forked = rngs.fork()
    keys = [rngs(), rngs.params(), rngs.dropout(), forked.params(), rngs.params()]
    keys += list(rngs.dropout.split(2).key[...])
    return [jax.random.key_data(key) for key in keys]


@pytest.mark.parametrize('impl', ['threefry2x32', 'rbg'])
def test_the_same_keys_come_eagerly_and_traced(impl):
    key = jax.random.key(7, impl=impl)
    wanted = draw(nnx.Rngs(key))
    np.testing.assert_array_equal(draw(make_rngs(key)), wanted)
    traced = jax.jit(lambda key: draw(make_rngs(key)))(key)
    np.testing.assert_array_equal(traced, wanted)
    np.testing.assert_array_equal(draw(make_rngs(3)), draw(nnx.Rngs(3)))


def test_what_a_module_keeps_counts_as_well():
    rngs = make_rngs(0)
    dropout = nnx.Dropout(0.5, rngs=rngs)
    assert isinstance(dropout.rngs, Stream)
    first, second = dropout(np.ones(64)), dropout(np.ones(64))
    assert (np.asarray(first) != np.asarray(second)).any()


def test_the_time_of_a_draw_does_not_grow_with_what_was_traced():
    def seconds(make, draws):
        def trace(key):
            rngs = make(key)
            return [jax.random.normal(rngs.params()) for _ in range(draws)]

        began = time.process_time()
        jax.eval_shape(trace, jax.random.key(0))
        return time.process_time() - began

    seconds(make_rngs, 10), seconds(nnx.Rngs, 10)
    assert seconds(make_rngs, 300) < 0.5 * seconds(nnx.Rngs, 300)
