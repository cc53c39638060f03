"""How the parts of a state lie on the mesh: whole, cut by size, or cut by a rule.

Knows names and shapes of arrays; nothing of what they mean.
"""

import math
import re

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trainer.errors import UserError
from trainer.parallel import FSDP, MODEL, Parallel, replicated


def shardings(tree, mesh: Mesh, layout: Parallel):
    """How arrays of parameters, or of what belongs to parameters, lie on the mesh.

    Args:
      tree: of abstract arrays, in dictionaries by parameter name.
      mesh: made of the layout.
      layout: its `rules` and `smallest` decide.

    Returns:
      A tree of `NamedSharding`.

    Raises:
      UserError: a rule does not fit a parameter that it matches.
    """

    def lie(path, leaf):
        name = next((key.key for key in reversed(path) if hasattr(key, 'key')), '')
        return NamedSharding(mesh, _spec(str(name), leaf.shape, layout))

    return jax.tree_util.tree_map_with_path(lie, tree)


def put(tree, places):
    """Arrays of this process, the same on all, laid out as `places` says."""

    def lay(value, sharding):
        if sharding.is_fully_addressable:
            return jax.device_put(value, sharding)
        held = np.asarray(value)
        return jax.make_array_from_callback(held.shape, sharding, lambda i: held[i])

    return jax.tree.map(lay, tree, places)


def spread(tree, mesh: Mesh):
    """Arrays of this process, the same on all, whole on every device."""
    return put(tree, jax.tree.map(lambda _: replicated(mesh), tree))


def _spec(name: str, shape: tuple[int, ...], layout: Parallel) -> PartitionSpec:
    for pattern, axes in layout.rules.items():
        if re.fullmatch(pattern, name):
            return _ruled(name, shape, layout, pattern, axes)
    if layout.fsdp == 1 or math.prod(shape) < layout.smallest:
        return PartitionSpec()
    divisible = [i for i, size in enumerate(shape) if size % layout.fsdp == 0]
    if not divisible:
        return PartitionSpec()
    longest = max(divisible, key=lambda i: (shape[i], i))
    return PartitionSpec(*(FSDP if i == longest else None for i in range(len(shape))))


def _ruled(name, shape, layout, pattern, axes) -> PartitionSpec:
    sizes = {None: 1, FSDP: layout.fsdp, MODEL: layout.model}
    fits = len(axes) == len(shape) and set(axes) <= sizes.keys()
    if not fits or any(n % sizes[a] for n, a in zip(shape, axes, strict=True)):
        raise UserError(
            f'Parallel.rules has {pattern!r}: {list(axes)}, which does not fit {name} '
            f'of shape {shape}; give fsdp, model or None for each dimension, and only '
            f'where its size divides over that axis.'
        )
    return PartitionSpec(*axes)
