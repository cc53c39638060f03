"""How far a logged step moves the parameters, taken beside the step, not in it.

XLA's CPU backend would read all that an update is made of once more in every step, to
add up its squares; a copy made only before steps that are logged costs less. Knows
arrays by name; nothing of optimizers.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from trainer.gradients import SMALL, global_norm

Kept = tuple[list[jax.Array], jax.Array | None]


def is_beside(params: Mapping[str, jax.ShapeDtypeStruct]) -> bool:
    """Whether it is cheaper beside the step: all lie whole in a machine's memory.

    Elsewhere the norm is a part of the step. GPUs and TPUs add up squares where they
    write what is squared, and have no memory to spare for a copy.
    """
    return all(
        leaf.sharding.is_fully_replicated
        and all(device.platform == 'cpu' for device in leaf.sharding.device_set)
        for leaf in params.values()
    )


class UpdateNorm:
    """The length of the change of parameters that are whole on every device.

    Traced when it is made. All copies are alike, so that each process looks at one of
    its own, and no device waits for another.

    Args:
      params: those that are trained, abstract.
    """

    def __init__(self, params: Mapping[str, jax.ShapeDtypeStruct]):
        self.large = [name for name, leaf in params.items() if leaf.size >= SMALL]
        self.small = [name for name, leaf in params.items() if leaf.size < SMALL]
        place = _place_of(params)
        leaves = [
            [_placed(params[name], place) for name in names]
            for names in (self.large, self.small)
        ]
        self._keep = jax.jit(_copied, out_shardings=place).lower(*leaves)
        kept = jax.tree.map(lambda leaf: _placed(leaf, place), self._keep.out_info)
        self._since = jax.jit(_length).lower(kept, *leaves)

    def compile(self) -> 'UpdateNorm':
        """Makes `keep` and `since` ready to be called; returns itself."""
        self._keep, self._since = self._keep.compile(), self._since.compile()
        return self

    def keep(self, params: Mapping[str, jax.Array]) -> Kept:
        """What `since` needs of the parameters before a step, which may be donated."""
        return self._keep(*self._leaves(params))

    def since(self, kept: Kept, params: Mapping[str, jax.Array]) -> jax.Array:
        """The root of the sum of all squared changes, float32 []."""
        return self._since(kept, *self._leaves(params))

    def _leaves(self, params: Mapping[str, jax.Array]) -> list[list[jax.Array]]:
        return [
            [_mine(params[name]) for name in names]
            for names in (self.large, self.small)
        ]


def _mine(leaf: jax.Array) -> jax.Array:
    """Our first copy; that of the only device is there already, and costs nothing."""
    return leaf if leaf.sharding.num_devices == 1 else leaf.addressable_data(0)


def _place_of(params: Mapping[str, jax.ShapeDtypeStruct]) -> Sharding:
    """Where what `_mine` gives lies."""
    sharding = next(iter(params.values())).sharding
    if sharding.num_devices == 1:
        return NamedSharding(sharding.mesh, PartitionSpec())
    return SingleDeviceSharding(sharding.mesh.local_devices[0])


def _placed(leaf, place: Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)


def _copied(large: Sequence[jax.Array], small: Sequence[jax.Array]) -> Kept:
    """Small leaves are kept as one: XLA compiles that in a third of the time."""
    return [jnp.copy(leaf) for leaf in large], _joined(small)


def _length(
    kept: Kept, large: Sequence[jax.Array], small: Sequence[jax.Array]
) -> jax.Array:
    """The norm of the difference, in float32 whatever the parameters are."""
    before, after = jax.tree.leaves(kept), [*large, _joined(small)]
    pairs = zip(before, jax.tree.leaves(after), strict=True)
    return global_norm([_float(new) - _float(old) for old, new in pairs])


def _joined(small: Sequence[jax.Array]) -> jax.Array | None:
    return jnp.concatenate([leaf.ravel() for leaf in small]) if small else None


def _float(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.float32)
