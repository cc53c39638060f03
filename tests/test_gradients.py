"""Clipping against Optax, and which parameters count as kernels."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from models import MLP, Classifier, ConvNeXt, Net, ResNet, UNet, ViT
from trainer.gradients import clipped, decayed, global_norm
from trainer.optimizers import matrices

BACKBONES = [
    functools.partial(MLP, hidden_dim=4),
    functools.partial(ResNet, depth=18),
    functools.partial(UNet, width=2, depth=2),
    functools.partial(ConvNeXt, size='T'),
    functools.partial(ViT, size='Ti/16'),
    functools.partial(ViT, size='Ti/16', pooling='mean'),
]


def test_the_global_norm_is_that_of_optax_for_small_and_large_leaves():
    rng = np.random.default_rng(0)
    shapes = ((), (1,), (64,), (3, 3, 4, 5), (1023,), (1024,), (40, 50))
    tree = {str(shape): jnp.asarray(rng.normal(size=shape)) for shape in shapes}
    for part in (tree, {'small': tree['(64,)']}, {'large': tree['(40, 50)']}):
        expected = optax.tree.norm(part)
        np.testing.assert_allclose(global_norm(part), expected, rtol=1e-6)


def test_nothing_is_clipped_that_is_short_nor_hidden_that_is_not_finite():
    optimizer = clipped(optax.sgd(1.0), 5.0)
    gradients = {'a': jnp.array([3.0, 3.9]), 'b': jnp.zeros(())}
    updates, _ = optimizer.update(gradients, optimizer.init(gradients))
    np.testing.assert_array_equal(updates['a'], -gradients['a'])
    gradients['b'] = jnp.array(jnp.nan)
    updates, _ = optimizer.update(gradients, optimizer.init(gradients))
    assert np.isnan(updates['a']).all()


def params_of(make):
    """The parameters of a net by name, without their numbers."""
    state = nnx.to_flat_state(nnx.state(nnx.eval_shape(make), nnx.Param))
    return {'/'.join(map(str, path)): param.get_value() for path, param in state}


@pytest.mark.parametrize('backbone', BACKBONES, ids=str)
def test_of_a_model_kernels_alone_decay_and_are_matrices(backbone):
    make = functools.partial(Net, backbone, Classifier, num_outputs=3)
    params = params_of(lambda: make(input_shape=(32, 32, 3), rngs=nnx.Rngs(0)))
    kernels = {name: name.endswith('/kernel') for name in params}
    assert decayed(params) == kernels
    assert {name: bool(axes) for name, axes in matrices(params).items()} == kernels


class Own(nnx.Module):
    """A module whose matrices are not called kernels."""

    def __init__(self, *, rngs):
        self.tokens = nnx.List([nnx.Linear(4, 4, rngs=rngs)])
        self.positions = nnx.Embed(9, 4, rngs=rngs)
        self.value = nnx.Param(jnp.ones((4, 4)))
        self.weight = nnx.Param(jnp.ones((4, 4)))
        self.decomposition = nnx.Param(jnp.ones((4, 4)))
        self.pos_embed = nnx.Param(jnp.ones((1, 9, 4)))
        self.cls_token = nnx.Param(jnp.ones((1, 1, 4)))
        self.layer_scale = nnx.Param(jnp.ones((1, 4)))
        self.relative_position_bias_table = nnx.Param(jnp.ones((9, 2)))


def test_of_a_module_of_ones_own_matrices_decay_by_any_name():
    kernels = {'tokens/0/kernel', 'value', 'weight', 'decomposition'}
    params = params_of(lambda: Own(rngs=nnx.Rngs(0)))
    assert {name for name, decays in decayed(params).items() if decays} == kernels
    state = decayed(nnx.state(Own(rngs=nnx.Rngs(0)), nnx.Param))
    found = {path for path, decays in nnx.to_flat_state(state) if decays.get_value()}
    assert {'/'.join(map(str, path)) for path in found} == kernels
