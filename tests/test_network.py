"""The split network: flat names, fresh randomness each step, contradictions refused."""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from models.heads import Classifier
from models.mlp import MLP
from models.net import Net
from trainer.errors import UserError
from trainer.network import make_network

SHAPE = (8, 8, 1)


def small_net(**head):
    return functools.partial(
        Net,
        backbone=functools.partial(MLP, hidden_dim=16, num_layers=1, dropout=0.5),
        head=functools.partial(Classifier, **head),
    )


class Own(nnx.Module):
    """A user's model that knows only `rngs`."""

    def __init__(self, *, rngs: nnx.Rngs, classes: int = 3):
        self.layers = nnx.List([nnx.Linear(64, 8, rngs=rngs)])
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.head = nnx.Linear(8, classes, rngs=rngs)

    def __call__(self, images):
        return self.head(self.norm(self.layers[0](images.reshape(len(images), -1))))


def make(model, num_outputs=3):
    return make_network(model, input_shape=SHAPE, num_outputs=num_outputs)


def test_arrays_are_flat_and_named_by_path():
    params, model_state = make(Own).init(jax.random.key(0))
    assert params['layers/0/kernel'].shape == (64, 8)
    assert set(model_state) == {'norm/mean', 'norm/var'}


def test_dropout_depends_on_the_key_alone():
    network = make(small_net())
    arrays = network.init(jax.random.key(0))
    images = jnp.ones((4, *SHAPE))
    apply = jax.jit(network.train)
    first, _ = apply(*arrays, jax.random.key(1), images)
    again, _ = apply(*arrays, jax.random.key(1), images)
    other, _ = apply(*arrays, jax.random.key(2), images)
    assert (first == again).all() and (first != other).any()
    assert (network.apply(*arrays, images) == network.apply(*arrays, images)).all()


def test_each_stream_has_its_own_key():
    class Two(nnx.Module):
        def __init__(self, *, rngs: nnx.Rngs):
            self.one = nnx.Dropout(0.5, rngs=rngs)
            self.two = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return jnp.stack([self.one(x), self.two(x)], -1).reshape(len(x), -1)[:, :3]

    network = make(Two)
    outputs, _ = network.train({}, {}, jax.random.key(0), jnp.ones((4, *SHAPE)))
    assert (outputs[:, 0] != outputs[:, 1]).any()


def test_batch_statistics_move_in_training_only():
    network = make(Own)
    params, before = network.init(jax.random.key(0))
    images = jax.random.normal(jax.random.key(1), (4, *SHAPE))
    _, after = network.train(params, before, jax.random.key(2), images)
    assert (before['norm/mean'] != after['norm/mean']).any()
    one = network.apply(params, after, images)
    assert jnp.allclose(one[:1], network.apply(params, after, images[:1]), atol=1e-6)


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (small_net(num_classes=5), 'Classifier.num_classes is 5, but the data has 3'),
        (functools.partial(Own, classes=4), 'the task needs 3 outputs'),
        (functools.partial(Own, width=4), "unexpected keyword argument 'width'"),
    ],
)
def test_contradictions_are_refused(model, message):
    with pytest.raises(UserError, match=message):
        make(model)


def test_a_head_that_agrees_with_the_data_is_fine():
    params, _ = make(small_net(num_classes=3)).init(jax.random.key(0))
    assert params['head/dense/bias'].shape == (3,)
