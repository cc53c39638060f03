"""Optimizers, bit for bit against Optax called by hand, on weights like a net's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from flax import nnx

from trainer import optimizers
from trainer.errors import UserError
from trainer.gradients import decayed
from trainer.optax_names import offered_by_optax


def schedule(step):
    return 1e-2 / (1 + step)


class Net(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(2, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)
        self.dense = nnx.Linear(4, 3, rngs=rngs)


@functools.cache
def nnx_params():
    _, params, _ = nnx.split(Net(rngs=nnx.Rngs(0)), nnx.Param, ...)
    return params


@functools.cache
def flat_params():
    """One leaf of each kind, in the flat dictionary that the trainer keeps."""
    rng = np.random.default_rng(0)
    shapes = {
        'conv/kernel': (3, 3, 2, 4),
        'conv/bias': (4,),
        'norm/scale': (4,),
        'attention/kernel': (4, 2, 2),
        'attention/bias': (2, 2),
        'dense/kernel': (4, 3),
        'stem/positions': (5, 4),
    }
    return {
        name: jnp.asarray(rng.normal(size=shape), jnp.float32)
        for name, shape in shapes.items()
    }


def mask(params=None):
    """What decays, said by name, in the structure of the parameters."""

    def is_kernel(path, _):
        return 'kernel' in jax.tree_util.keystr(path)

    return jax.tree_util.tree_map_with_path(is_kernel, params or flat_params())


@jax.jit
def make_gradients(params, step):
    return jax.tree.map(lambda p: jnp.sin(7 * p + step) * (step + 1), params)


def run(optimizer, params, steps=4):
    """The parameters after a few steps, with gradients made from the parameters."""
    state = optimizer.init(params)

    @jax.jit
    def advance(params, state, step):
        gradients = make_gradients(params, step)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    for step in range(steps):
        params, state = advance(params, state, step)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]


def assert_same(ours, by_hand, params, **tolerance):
    """Bit for bit, where no tolerance is given."""
    before = jax.tree.leaves(params)
    expected = run(by_hand, params)
    for i, leaf in enumerate(run(ours, params)):
        np.testing.assert_allclose(leaf, expected[i], **{'rtol': 0} | tolerance)
        assert np.isfinite(leaf).all()
        assert (leaf != before[i]).any()


def l2(weight_decay):
    return optax.add_decayed_weights(weight_decay, mask())


def by_hand_muon(weight_decay):
    """Dense and convolution kernels as matrices, all else by Adam."""
    axes = {2: ((0,), (1,)), 4: ((0, 1, 2), (3,))}
    return optax.contrib.muon(
        schedule,
        weight_decay=weight_decay,
        weight_decay_mask=mask(),
        consistent_rms=0.2,
        muon_weight_dimension_numbers=lambda params: jax.tree.map(
            lambda p, is_kernel: (
                optax.contrib.MuonDimensionNumbers(*axes[p.ndim])
                if is_kernel and p.ndim in axes
                else None
            ),
            params,
            mask(params),
        ),
    )


CASES = {
    'adamw': (
        lambda clip: optimizers.adamw(
            schedule, weight_decay=0.1, b1=0.8, b2=0.95, eps=1e-6, clip_norm=clip
        ),
        lambda: optax.adamw(
            schedule, b1=0.8, b2=0.95, eps=1e-6, weight_decay=0.1, mask=mask()
        ),
    ),
    'adamw by default': (
        lambda clip: optimizers.adamw(schedule, clip_norm=clip),
        lambda: optax.adamw(schedule, weight_decay=1e-4, mask=mask()),
    ),
    'sgd': (
        lambda clip: optimizers.sgd(
            schedule, momentum=0.8, nesterov=True, weight_decay=0.1, clip_norm=clip
        ),
        lambda: optax.chain(l2(0.1), optax.sgd(schedule, momentum=0.8, nesterov=True)),
    ),
    'sgd without momentum': (
        lambda clip: optimizers.sgd(schedule, momentum=0.0, clip_norm=clip),
        lambda: optax.sgd(schedule),
    ),
    'adam': (
        lambda clip: optimizers.adam(schedule, b1=0.8, clip_norm=clip),
        lambda: optax.adam(schedule, b1=0.8),
    ),
    'lamb': (
        lambda clip: optimizers.lamb(schedule, weight_decay=0.1, clip_norm=clip),
        lambda: optax.lamb(schedule, weight_decay=0.1, mask=mask()),
    ),
    'lion': (
        lambda clip: optimizers.lion(schedule, weight_decay=0.1, clip_norm=clip),
        lambda: optax.lion(schedule, weight_decay=0.1, mask=mask()),
    ),
    'rmsprop': (
        lambda clip: optimizers.rmsprop(
            schedule, momentum=0.9, centered=True, weight_decay=0.1, clip_norm=clip
        ),
        lambda: optax.chain(
            l2(0.1), optax.rmsprop(schedule, momentum=0.9, centered=True)
        ),
    ),
    'muon': (
        lambda clip: optimizers.muon(schedule, weight_decay=0.1, clip_norm=clip),
        lambda: by_hand_muon(0.1),
    ),
    'optax_optimizer': (
        lambda clip: optimizers.optax_optimizer(
            schedule,
            name='nadamw',
            arguments={'weight_decay': 0.1, 'b1': 0.8},
            clip_norm=clip,
        ),
        lambda: optax.nadamw(schedule, b1=0.8, weight_decay=0.1, mask=mask()),
    ),
}


@pytest.mark.parametrize('name', CASES)
def test_equals_optax_by_hand(name):
    ours, by_hand = CASES[name]
    assert_same(ours(None), by_hand(), flat_params())


@pytest.mark.parametrize('name', ['adamw', 'sgd', 'muon'])
def test_gradients_are_clipped_first(name):
    ours, by_hand = CASES[name]
    expected = optax.chain(optax.clip_by_global_norm(0.5), by_hand())
    assert_same(ours(0.5), expected, flat_params(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('weight_decay', [1e-4, 0.5])
def test_adamw_on_the_state_of_an_nnx_model(weight_decay):
    params = nnx_params()
    ours = optimizers.adamw(schedule, weight_decay=weight_decay)
    by_hand = optax.adamw(schedule, weight_decay=weight_decay, mask=mask(params))
    assert_same(ours, by_hand, params)


def test_only_kernels_decay():
    for params in (nnx_params(), flat_params()):
        assert jax.tree.leaves(decayed(params)) == jax.tree.leaves(mask(params))


@pytest.mark.parametrize('name', offered_by_optax())
def test_each_optimizer_of_optax_takes_a_step(name):
    optimizer = optimizers.optax_optimizer(schedule, name=name)
    params = {'kernel': jnp.ones((3, 2)), 'bias': jnp.ones(2)}
    state = optimizer.init(params)
    gradients = jax.tree.map(lambda p: 0.1 * p, params)
    update = jax.eval_shape(optimizer.update, gradients, state, params)
    same = jax.tree.map(
        lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype),
        *((params, state), update),
    )
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize(
    ('name', 'arguments', 'message'),
    [
        ('adamW', None, "'adamW' is unknown; did you mean 'adamw'"),
        ('lbfgs', None, "'lbfgs' is unknown; .*choose .*adamw"),
        ('adamw', {'weight_deacy': 1}, "of adamw: 'weight_deacy' .* 'weight_decay'"),
        ('adam', {'learning_rate': 1}, "'learning_rate' is unknown"),
    ],
)
def test_unknown_names_are_refused(name, arguments, message):
    with pytest.raises(UserError, match=message):
        optimizers.optax_optimizer(schedule, name=name, arguments=arguments)
