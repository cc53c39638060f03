"""How the parts of a state lie on the mesh: whole, cut by size, or cut by a rule.

Knows names and shapes of arrays; nothing of what they mean.
"""

import math
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trainer.descent import matching
from trainer.errors import UserError
from trainer.parallel import FSDP, MODEL, Parallel, lay, replicated

Shapes = Mapping[str, tuple[int, ...]]


def shardings(tree, shapes: Shapes, mesh: Mesh, layout: Parallel):
    """How arrays of parameters, or of what belongs to parameters, lie on the mesh.

    Rules hold for what has the shape of its parameter; what an optimizer keeps in
    another shape, such as the rows and columns of Adafactor, is cut by size.

    Args:
      tree: of abstract arrays, in dictionaries by parameter name.
      shapes: of the parameters, by name.
      mesh: made of the layout.
      layout: its `rules` and `smallest` decide.

    Returns:
      A tree of `NamedSharding`.

    Raises:
      UserError: as `ruled`.
    """
    specs = ruled(shapes, layout)

    def lie(path, leaf):
        name = next((str(k.key) for k in reversed(path) if hasattr(k, 'key')), '')
        if name in specs and leaf.shape == shapes[name]:
            return NamedSharding(mesh, specs[name])
        return NamedSharding(mesh, _by_size(leaf.shape, layout))

    return jax.tree_util.tree_map_with_path(lie, tree)


def ruled(shapes: Shapes, layout: Parallel) -> dict[str, PartitionSpec]:
    """How the parameters lie that a rule matches; of several rules the first counts.

    Raises:
      UserError: a rule is no regular expression, matches no parameter, or does not fit
        one that it matches.
    """
    specs: dict[str, PartitionSpec] = {}
    for pattern, axes in layout.rules.items():
        for name in matching(pattern, list(shapes), 'Parallel.rules'):
            if name not in specs:
                _check_fit(name, shapes[name], layout, pattern, axes)
                specs[name] = PartitionSpec(*axes)
    return specs


def put(tree, places):
    """Arrays of this process, the same on all, laid out as `places` says."""

    if all(place.is_fully_addressable for place in jax.tree.leaves(places)):
        return jax.device_put(tree, places)  # in one call, in half the time

    def lay(value, sharding):
        held = np.asarray(value)
        return jax.make_array_from_callback(held.shape, sharding, lambda i: held[i])

    return jax.tree.map(lay, tree, places)


def spread(tree, mesh: Mesh):
    """Arrays of this process, the same on all, whole on every device."""
    whole = replicated(mesh)
    if whole.is_fully_addressable:
        return lay(tree, whole)
    return put(tree, jax.tree.map(lambda _: whole, tree))


def _check_fit(name, shape, layout, pattern, axes) -> None:
    sizes = {None: 1, FSDP: layout.fsdp, MODEL: layout.model}
    named = [axis for axis in axes if axis is not None]
    fits = len(axes) == len(shape) and set(axes) <= sizes.keys()
    fits = fits and len(named) == len({*named})
    if not fits or any(n % sizes[a] for n, a in zip(shape, axes, strict=True)):
        raise UserError(
            f'Parallel.rules has {pattern!r}: {list(axes)}, which does not fit {name} '
            f'of shape {shape}; give fsdp, model (each once) or None for each '
            f'dimension, and only where its size divides over that axis.'
        )


def _by_size(shape: tuple[int, ...], layout: Parallel) -> PartitionSpec:
    if layout.fsdp == 1 or math.prod(shape) < layout.smallest:
        return PartitionSpec()
    divisible = [i for i, size in enumerate(shape) if size % layout.fsdp == 0]
    if not divisible:
        return PartitionSpec()
    longest = max(divisible, key=lambda i: (shape[i], i))
    return PartitionSpec(*(FSDP if i == longest else None for i in range(len(shape))))
