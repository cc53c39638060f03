"""One integer per leaf of a state, which any change of an element changes.

Computed where the arrays lie, and equal for any number of devices and any sharding.
Knows nothing of files, nor of what the leaves mean.
"""

import math
import threading

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from trainer import host_words
from trainer.errors import TrainingFailed
from trainer.mixing import mixed

_one_at_a_time = threading.Lock()  # two threads would compile the same program twice


def named_leaves(tree) -> dict[str, jax.Array]:
    """The leaves of a pytree by path, such as 'params/stem/kernel', in its order.

    Raises:
      ValueError: two leaves have one path.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {
        jax.tree_util.keystr(path, simple=True, separator='/'): leaf
        for path, leaf in leaves
    }
    if len(named) != len(leaves):
        raise ValueError('Two leaves of the state have one path; rename one of them.')
    return named


def fingerprints(tree) -> dict[str, str]:
    """The fingerprint of every leaf, eight hex digits, by path.

    Every word of a leaf is mixed with its position by a bijection, and the results are
    added modulo 2 ** 32: one changed element is always seen, and the order in which
    devices add does not matter. Waits until the arrays have been computed.

    Raises:
      TrainingFailed: the copies of a leaf on several devices differ; names the device.
    """
    leaves = named_leaves(tree)
    here, there = _apart(leaves)
    with _one_at_a_time:
        sums = {name: _sum_here(leaf) for name, leaf in here.items()}
        numbers = {name: _settled(leaf) for name, leaf in there.items()}
    # Each device has taken that of its own copy: to compare them costs nothing.
    copies = {name: number.addressable_shards for name, number in numbers.items()}
    values = jax.device_get({n: [c.data for c in copies[n]] for n in copies})
    for name, of_devices in values.items():
        _check_copies(name, [copy.device for copy in copies[name]], of_devices)
    found = {name: int(number[0]) for name, number in values.items()}
    found |= {name: wait() for name, wait in sums.items()}
    return {name: f'{found[name]:08x}' for name in leaves}


def _apart(leaves: dict) -> tuple[dict, dict]:
    """The leaves that the host reads where they lie, and those that it does not."""
    here = {n: leaf for n, leaf in leaves.items() if host_words.readable(leaf)}
    return here, {n: leaf for n, leaf in leaves.items() if n not in here}


def _check_copies(name: str, devices: list, values: list) -> None:
    """Raises TrainingFailed where a value is not that of most devices."""
    numbers = [int(value) for value in values]
    if len(set(numbers)) == 1:
        return
    right = max(numbers, key=numbers.count)
    wrong = [str(d) for d, n in zip(devices, numbers, strict=True) if n != right]
    raise TrainingFailed(
        f'{name} on {", ".join(wrong)} is not what the other devices have: a device '
        f'computed wrongly, and nothing of it was saved. Take it out, or look at its '
        f'memory; the same command goes on from the last checkpoint.'
    )


def compile_fingerprints(abstract_tree) -> None:
    """Compiles what a save will need for a tree of such abstract arrays."""
    leaves = named_leaves(abstract_tree)
    here, there = _apart(leaves)
    with _one_at_a_time:
        if here:
            _sum_here.compile()
        for leaf in dict.fromkeys(there.values()):
            _fingerprint.lower(leaf).compile()
            if _is_float(leaf):
                _finite.lower(leaf).compile()


def not_finite(tree) -> list[str]:
    """Paths of the floating-point leaves that hold NaN or infinity."""
    floats = {name: x for name, x in named_leaves(tree).items() if _is_float(x)}
    here, there = _apart(floats)
    with _one_at_a_time:
        finite = {name: _finite(x) for name, x in there.items()}
    finite = jax.device_get(finite)
    finite |= {name: np.isfinite(np.from_dlpack(x)).all() for name, x in here.items()}
    return [name for name in floats if not finite[name]]


def _is_float(leaf) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


@jax.jit
def _finite(leaf: jax.Array) -> jax.Array:
    return jnp.isfinite(leaf).all()


def _settled(leaf: jax.Array) -> jax.Array:
    """The fingerprint of a leaf; of one that is cut, not before it is there.

    Devices add up their parts, and many such sums under way at once can lock each other
    where devices share cores.
    """
    number = _fingerprint(leaf)
    return number if leaf.is_fully_replicated else number.block_until_ready()


@jax.jit  # compiled once for a shape, however many leaves share it
def _fingerprint(leaf: jax.Array) -> jax.Array:
    words = _words(leaf)
    return jnp.sum(mixed(words, _positions(words.shape)), dtype=jnp.uint32)


def _words(leaf: jax.Array) -> jax.Array:
    """The bits of every element as uint32; of wide elements as a trailing axis."""
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        leaf = jnp.stack([leaf.real, leaf.imag], axis=-1)
    if leaf.dtype.itemsize >= 4:
        return lax.bitcast_convert_type(leaf, jnp.uint32)
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        bits = jnp.dtype(f'uint{8 * leaf.dtype.itemsize}')
        leaf = lax.bitcast_convert_type(leaf, bits)
    return leaf.astype(jnp.uint32)


def _positions(shape: tuple[int, ...]) -> jax.Array:
    """Row-major positions, from one iota per axis so that a sharded axis stays so."""
    positions = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = jnp.uint32(math.prod(shape[axis + 1 :]) % 2**32)
        positions += lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
    return positions


_sum_here = host_words.Summed(mixed)
