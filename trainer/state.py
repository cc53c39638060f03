"""TrainState: everything that a step changes, in one pytree, placed on the mesh.

Knows how it is made from a recipe; nothing of data or files.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from trainer import parallel, sharding
from trainer.mixing import make_key
from trainer.network import Arrays
from trainer.parallel import Parallel
from trainer.recipe import Recipe


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """What a checkpoint holds; no key and no iterator, both follow from the step.

    Attributes:
      step: int32 [], how many steps have been taken.
      params, model_state: flat dictionaries of parameters and of statistics.
      opt_state: what the optimizer remembers of the parameters that are not frozen.
      average: the average of (params, model_state), or None.
      rate_scale: float32 [], what a plateau has made of the learning rate, or None.
      interval, epoch: metrics since the last log line and since the last evaluation.
      bad_step: int32 [], the first step whose loss or gradient was not finite, or -1.
    """

    step: jax.Array
    params: Arrays
    model_state: Arrays
    opt_state: optax.OptState
    average: tuple[Arrays, Arrays] | None
    rate_scale: jax.Array | None
    interval: dict
    epoch: dict
    bad_step: jax.Array

    @property
    def weights(self) -> tuple[Arrays, Arrays]:
        """What is evaluated, `(params, model_state)`: their average if there is one."""
        return self.average or (self.params, self.model_state)

    @property
    def for_scoring(self) -> 'TrainState':
        """The same without what the optimizer remembers, often two thirds of it."""
        return dataclasses.replace(self, opt_state=None)


def make_state(
    recipe: Recipe, params: Arrays, model_state: Arrays, given: Arrays | None = None
) -> TrainState:
    """The TrainState before the first step (to be jitted).

    Args:
      recipe: what is trained.
      params, model_state: parameters and statistics as they were drawn.
      given: those by name that are not to be as drawn.
    """
    given = given or {}
    params = {name: given.get(name, drawn) for name, drawn in params.items()}
    model_state = {name: given.get(name, v) for name, v in model_state.items()}
    copied = jax.tree.map(jnp.copy, (params, model_state))
    trained = {name: params[name] for name in recipe.trained}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=recipe.optimizer.init(trained),
        average=copied if recipe.average else None,
        rate_scale=jnp.ones(()) if recipe.scaled else None,
        interval=recipe.train_metrics.empty(),
        epoch=recipe.train_metrics.empty(),
        bad_step=jnp.full((), -1, jnp.int32),
    )


def abstract_state(recipe: Recipe, mesh: Mesh, layout: Parallel) -> TrainState:
    """Shapes, types and places of the state; nothing is computed.

    Parameters, and what is remembered for each of them, lie as the layout says; the
    rest is whole on every device.
    """
    weights = recipe.network.abstract
    shapes = jax.eval_shape(functools.partial(make_state, recipe), *weights)
    everywhere = parallel.replicated(mesh)
    places = jax.tree.map(lambda _: everywhere, shapes)
    of_params = recipe.network.parameter_shapes
    belonging = {
        name: sharding.shardings(getattr(shapes, name), of_params, mesh, layout)
        for name in ('params', 'opt_state', 'average')
    }
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        shapes,
        dataclasses.replace(places, **belonging),
    )


def init_state(
    recipe: Recipe, abstract: TrainState, given: Arrays | None = None
) -> TrainState:
    """The state before the first step, laid out as the abstract one is.

    Initialised in one compiled call on one device and then placed, so that the weights
    do not depend on the number of devices.
    """
    seed = np.uint32(recipe.seed % 2**32)  # no constant: XLA would draw as it compiles

    def make(seed, given):
        drawn = recipe.network.init(make_key(seed))
        return make_state(recipe, *drawn, given)

    state = jax.jit(make)(seed, given)
    return sharding.put(state, jax.tree.map(lambda x: x.sharding, abstract))
