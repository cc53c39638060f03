"""An NNX module, split once: a static graph, and flat dictionaries of arrays.

Everything below this room works on `{'backbone/stem/conv/kernel': array}`: easy to
print, to mask by a regular expression, to shard, to fingerprint and to save. Knows
nothing of tasks, optimizers or files.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from flax import nnx

from models.streams import make_rngs
from trainer.errors import UserError
from trainer.told import with_facts

Arrays = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Network:
    """How a model is made and applied; holds no arrays.

    Attributes:
      make: `make(rngs=)` gives the NNX module.
      train_graph, eval_graph: static definitions of the module in its two modes.
      params, rest, streams: abstract states: parameters, statistics and other
        variables, keys and counters of random streams.
    """

    make: Callable[..., nnx.Module]
    train_graph: nnx.GraphDef
    eval_graph: nnx.GraphDef
    params: nnx.State
    rest: nnx.State
    streams: nnx.State

    @property
    def parameter_names(self) -> list[str]:
        """'backbone/stem/conv/kernel' and so on, in the order of the module."""
        return list(self.parameter_shapes)

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each, by name."""
        return {name: v.shape for name, v in _named(self.params).items()}

    @property
    def abstract(self) -> tuple[dict, dict]:
        """What `init` gives, as `jax.ShapeDtypeStruct`; the model is not made anew."""
        return _shapes(self.params), _shapes(self.rest)

    @property
    def module(self) -> nnx.Module:
        """The NNX module itself, of abstract arrays."""
        return nnx.merge(self.eval_graph, self.params, self.streams, self.rest)

    @property
    def stride(self) -> int | None:
        """Pixels of the image to a cell of the maps that the head gives, if it says."""
        return getattr(getattr(self.module, 'head', None), 'stride', None)

    def init(self, key: jax.Array) -> tuple[Arrays, Arrays]:
        """Initial parameters and statistics, `(params, model_state)`, from one key."""
        _, params, _, rest = _split(self.make(rngs=make_rngs(key)))
        return flatten(params), flatten(rest)

    def train(
        self,
        params: Arrays,
        model_state: Arrays,
        key: jax.Array,
        images: jax.Array,
        **asked,
    ) -> tuple[Any, Arrays]:
        """Applies the model in training mode: `(outputs, new model_state)`.

        Every random stream (dropout, drop path, ...) takes a key folded from `key`, so
        that nothing random outlives the step. The model is given what else is asked.
        """
        streams = _fold_streams(self.streams, key)
        model = self._merge(self.train_graph, params, model_state, streams)
        outputs = _called(model, images, asked)
        _, _, _, rest = _split(model)
        return outputs, flatten(rest)

    def apply(
        self, params: Arrays, model_state: Arrays, images: jax.Array, **asked
    ) -> Any:
        """Applies the model in evaluation mode; nothing in it is random."""
        return _called(self.eval_model(params, model_state), images, asked)

    def eval_model(self, params: Arrays, model_state: Arrays) -> nnx.Module:
        """The NNX module itself, in evaluation mode, around the given arrays."""
        streams = _fold_streams(self.streams, jax.random.key(0))
        return self._merge(self.eval_graph, params, model_state, streams)

    def _merge(self, graph, params, model_state, streams):
        params = _unflatten(self.params, params)
        return nnx.merge(graph, params, streams, _unflatten(self.rest, model_state))


def make_network(
    model: Callable[..., nnx.Module],
    *,
    input_shape: tuple[int, ...],
    num_outputs: int | tuple[int, ...],
    freeze: Sequence[str] = (),
) -> Network:
    """Splits a model once, from shapes alone (nothing is computed).

    Args:
      model: what the config names: a class or function that takes `rngs` and, where
        its signature has them, `input_shape` ([H, W, C]) and `num_outputs`.
      input_shape: shape of one image.
      num_outputs: how many outputs the task needs.
      freeze: regular expressions of parameters that do not move; a norm of which all
        are frozen trains with its running statistics, and leaves them as they are.

    Raises:
      UserError: the model refuses its arguments, or they contradict the data.
    """
    facts = {'input_shape': tuple(input_shape), 'num_outputs': num_outputs}
    make = with_facts(model, facts)
    try:
        module = nnx.eval_shape(lambda: make(rngs=make_rngs(0)))
    except (ValueError, TypeError) as error:
        raise UserError(f'The model cannot be built: {_first_line(error)}') from error
    module.train()
    _still(module, freeze)
    train_graph, params, streams, rest = _split(module)
    module.eval()
    eval_graph = nnx.graphdef(module)
    network = Network(make, train_graph, eval_graph, params, rest, streams)
    _check_outputs(network, facts)
    return network


def flatten(state: nnx.State) -> Arrays:
    """`{'head/dense/kernel': array}` of an nnx.State."""
    return {name: v[...] for name, v in _named(state).items()}


def _shapes(state: nnx.State) -> dict[str, jax.ShapeDtypeStruct]:
    named = _named(state).items()
    return {name: jax.ShapeDtypeStruct(v.shape, v.dtype) for name, v in named}


def _named(state: nnx.State) -> dict[str, nnx.Variable]:
    return {'/'.join(map(str, path)): v for path, v in nnx.to_flat_state(state)}


def _unflatten(abstract: nnx.State, arrays: Arrays) -> nnx.State:
    """The nnx.State of the given structure around the arrays."""
    flat = nnx.to_flat_state(abstract)
    leaves = [v.replace(arrays[name]) for name, v in _named(abstract).items()]
    return nnx.from_flat_state(zip(flat.paths, leaves, strict=True))


def _split(module: nnx.Module):
    return nnx.split(module, nnx.Param, nnx.RngState, ...)


def _still(module: nnx.Module, freeze: Sequence[str]) -> None:
    """Norms that are frozen whole evaluate, in training too (as in Keras)."""
    frozen = [re.compile(pattern) for pattern in freeze]
    for path, part in nnx.iter_modules(module):
        if not hasattr(part, 'use_running_average'):
            continue
        named = _named(nnx.state(part, nnx.Param))
        names = ['/'.join((*map(str, path), name)) for name in named]
        if names and all(any(f.fullmatch(name) for f in frozen) for name in names):
            part.use_running_average = True


def _fold_streams(streams: nnx.State, key: jax.Array) -> nnx.State:
    """A fresh key, folded with its position, for each stream; counters at zero."""
    flat = nnx.to_flat_state(streams)
    leaves = []
    for position, (_, variable) in enumerate(flat):
        if isinstance(variable, nnx.RngKey):
            folded = jax.random.fold_in(key, position)
            shape = variable.shape
            value = jax.random.split(folded, shape) if shape else folded
        else:
            value = jax.numpy.zeros(variable.shape, variable.dtype)
        leaves.append(variable.replace(value))
    return nnx.from_flat_state(zip(flat.paths, leaves, strict=True))


def _called(model: nnx.Module, images: jax.Array, asked: Mapping[str, Any]) -> Any:
    """What a model gives; one that does not know what a task asks is refused."""
    try:
        return model(images, **asked)
    except TypeError as error:
        if not asked or 'unexpected keyword' not in str(error):
            raise
        raise UserError(
            f'The task asks the model for {", ".join(asked)}, which it does not know '
            f'({_first_line(error)}); give it a head that does, or another task.'
        ) from error


def _check_outputs(network: Network, facts: Mapping) -> None:
    """Runs the model on one abstract image: an error here is the user's, not XLA's."""
    image = jax.ShapeDtypeStruct((1, *facts['input_shape']), jax.numpy.float32)
    try:
        outputs = jax.eval_shape(network.apply, *network.abstract, image)
    except (ValueError, TypeError) as error:
        raise UserError(
            f'The model cannot take images of shape {facts["input_shape"]}: '
            f'{_first_line(error)}'
        ) from error
    wanted = facts['num_outputs']
    if hasattr(outputs, 'shape') and outputs.shape[-1] != wanted:
        raise UserError(
            f'The model gives outputs of shape {outputs.shape}, but the task needs '
            f'{wanted} outputs for this data; give the model a `num_outputs` argument, '
            f'which is filled in from the data.'
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
