"""TrainState: everything that a step changes, in one pytree, placed on the mesh.

Knows how it is made from a network and an optimizer; nothing of data or files.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from trainer import parallel
from trainer.network import Arrays, Network


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """What a checkpoint holds; no key and no iterator, both follow from the step.

    Attributes:
      step: int32 [], how many steps have been taken.
      params, model_state: flat dictionaries of parameters and of statistics.
      opt_state: what the optimizer remembers.
      interval, epoch: metrics since the last log line and since the last evaluation.
      bad_step: int32 [], the first step whose loss or gradient was not finite, or -1.
    """

    step: jax.Array
    params: Arrays
    model_state: Arrays
    opt_state: optax.OptState
    interval: dict
    epoch: dict
    bad_step: jax.Array


def make_state(network, optimizer, empty_metrics, key) -> TrainState:
    """The state before the first step, from one key (to be jitted)."""
    params, model_state = network.init(key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=optimizer.init(params),
        interval=empty_metrics(),
        epoch=empty_metrics(),
        bad_step=jnp.full((), -1, jnp.int32),
    )


def abstract_state(network: Network, optimizer, empty_metrics, mesh: Mesh):
    """Shapes, types and places of the state; nothing is computed."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    shapes = jax.eval_shape(
        lambda key: make_state(network, optimizer, empty_metrics, key), key
    )
    sharding = parallel.replicated(mesh)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes
    )


def init_state(network, optimizer, empty_metrics, seed: int, mesh: Mesh) -> TrainState:
    """The state before the first step, on the mesh.

    Initialised in one compiled call on one device and then placed, so that the weights
    do not depend on the number of devices. `rbg` keys compile in a third of the time
    of threefry's.
    """

    def make(key):
        return make_state(network, optimizer, empty_metrics, key)

    state = jax.jit(make)(jax.random.key(seed, impl='rbg'))
    return jax.device_put(state, parallel.replicated(mesh))
