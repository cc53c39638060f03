"""The mesh of devices, and how batches are laid on it.

Knows nothing of models or data: arrays only. One CPU is a mesh of one. Which parts of
a state lie where is `sharding.py`.
"""

import collections
import dataclasses
import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import gin
import jax
import numpy as np
from annotated_types import Ge
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trainer.errors import UserError

DATA, FSDP, MODEL = AXES = ('data', 'fsdp', 'model')
BATCH_AXES = (DATA, FSDP)  # devices that hold parts of the state read data of their own
Count = Annotated[int, Ge(1)]
Batch = Mapping[str, np.ndarray]


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Parallel:
    """How many devices each axis of the mesh has; the numbers are those of one device.

    Attributes:
      data: each reads a part of the batch; None is all that the others leave.
      fsdp: each reads a part of the batch, and holds a part of the parameters and of
        what the optimizer remembers of them (Rajbhandari et al., 2020, ZeRO-3).
      model: hold parts of the parameters by `rules`, and the same part of the batch.
      rules: regular expressions of parameter names and an axis (or None) for each of
        their dimensions, such as {'.*/mlp/up/kernel': [None, 'model']}; the first that
        matches is taken, before the cut by size.
      smallest: arrays of fewer elements are whole on every device.
    """

    data: Count | None = None
    fsdp: Count = 1
    model: Count = 1
    rules: Mapping[str, Sequence[str | None]] = dataclasses.field(default_factory=dict)
    smallest: Count = 1024


def make_mesh(layout: Parallel) -> Mesh:
    """All devices of all processes, with the axes 'data', 'fsdp' and 'model'.

    Raises:
      UserError: the devices do not divide so.
    """
    check_devices(layout)
    data = batch_devices(layout) // layout.fsdp
    automatic = (jax.sharding.AxisType.Auto,) * len(AXES)
    arranged = arrange((data, layout.fsdp, layout.model), jax.devices())
    return Mesh(arranged, AXES, axis_types=automatic)


def arrange(shape: tuple[int, ...], devices: Sequence[jax.Device]) -> np.ndarray:
    """The devices as an array of that shape, neighbours where the links are fast.

    `jax.make_mesh` splits no axis of most TPUs, and refuses several slices: to jax each
    machine with GPUs is one. The first axes that can be run between slices.
    """
    slices = collections.Counter(getattr(one, 'slice_index', 0) for one in devices)
    if len(slices) == 1:
        return mesh_utils.create_device_mesh(
            shape, devices, allow_split_physical_axes=True
        )
    if len({*slices.values()}) > 1:  # of unequal sizes, which no axis can run between
        ordered = sorted(devices, key=lambda one: one.id)
        return np.asarray(ordered, dtype=object).reshape(shape)
    between, left = [], len(slices)
    for size in shape:
        between.append(math.gcd(size, left))
        left //= between[-1]
    within = [size // outer for size, outer in zip(shape, between, strict=True)]
    return mesh_utils.create_hybrid_device_mesh(
        within, between, devices, allow_split_physical_axes=True
    )


def check_devices(layout: Parallel) -> None:
    """Raises UserError where the devices that are here do not divide so."""
    if not fits(layout):
        devices = jax.device_count()
        asked = f'data {layout.data or "the rest"}, fsdp {layout.fsdp}'
        raise UserError(
            f'Parallel asks for {asked}, model {layout.model}, which does not make the '
            f'{devices} devices that are here; their product must be {devices}.'
        )


def idle(layout: Parallel) -> str | None:
    """One line where devices of the axis 'model' hold nothing of their own."""
    if layout.model == 1 or any(MODEL in axes for axes in layout.rules.values()):
        return None
    return (
        f'Parallel.model is {layout.model}, but no rule in Parallel.rules names the '
        f'axis model: {layout.model} devices each do the same work. Give a rule, or '
        f'Parallel.model = 1.'
    )


def fits(layout: Parallel) -> bool:
    """True if the devices that are here divide as the layout says."""
    devices, others = jax.device_count(), layout.fsdp * layout.model
    return devices == layout.data * others if layout.data else devices % others == 0


@functools.cache
def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


@functools.cache
def over_data(mesh: Mesh) -> NamedSharding:
    """The first axis cut over the devices."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def place(batch: Batch, mesh: Mesh) -> dict[str, jax.Array]:
    """This process's share of a batch becomes its part of the global batch."""
    return place_several([batch], mesh)[0]


def place_several(batches: list[Batch], mesh: Mesh) -> list[dict[str, jax.Array]]:
    """Its shares of several batches, in one call where there is no other process."""
    sharding = over_data(mesh)
    if sharding.is_fully_addressable:
        return lay(batches, sharding)
    whole = functools.partial(jax.make_array_from_process_local_data, sharding)
    return [{key: whole(value) for key, value in one.items()} for one in batches]


def lay(tree, sharding: NamedSharding):
    """Arrays of the only process, laid out as it says; once a step, so in one call.

    To a single CPU through a program that does nothing: what is given to a program is
    laid on a device in an eighth of the time that Python takes for it.
    """
    return _laying(sharding)(tree)


@functools.cache
def _laying(sharding: NamedSharding) -> Callable:
    devices = sharding.device_set
    if len(devices) > 1 or any(one.platform != 'cpu' for one in devices):
        return lambda tree: jax.device_put(tree, sharding)
    unchanged = jax.jit(lambda tree: tree, out_shardings=sharding)

    def through(tree):
        with jax.transfer_guard_host_to_device('allow'):  # it is asked for, as above
            return unchanged(tree)

    return through


def fetch(tree):
    """Arrays on the host, waited for.

    `jax.device_get` asks every array for a copy beforehand; where they lie in the
    host's own memory, nothing is copied, and asking takes longer than all the rest.
    """
    if jax.default_backend() != 'cpu':
        return jax.device_get(tree)
    return jax.tree.map(
        lambda x: np.asarray(x) if isinstance(x, jax.Array) else x, tree
    )


def share(mesh: Mesh) -> tuple[int, int]:
    """Which part of a batch this process reads, of how many parts: (index, count).

    Processes whose devices differ in the axis 'model' alone read the same part.
    """
    rows = mesh.devices.reshape(-1, mesh.shape[MODEL])
    read: dict[int, set[int]] = {}
    for row, devices in enumerate(rows):
        for device in devices:
            read.setdefault(device.process_index, set()).add(row)
    parts = sorted({tuple(sorted(of_one)) for of_one in read.values()})
    mine = tuple(sorted(read[jax.process_index()]))
    if sum(map(len, parts)) != len(rows) or len({*map(len, parts)}) > 1:
        raise UserError(
            f'Parallel lays the batch over {len(rows)} devices so that processes share '
            f'parts of it; give Parallel.model a divisor or a multiple of the '
            f'{jax.local_device_count()} devices of a process.'
        )
    return parts.index(mine), len(parts)


def device_memory() -> int | None:
    """Bytes of memory of the first device; of the machine where that is a CPU."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get('bytes_limit')
    if limit is None and device.platform == 'cpu':
        return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return limit


def batch_devices(layout: Parallel) -> int:
    """Devices that each read a part of the batch of their own."""
    return jax.device_count() // layout.model


def divisible(batch: int, layout: Parallel) -> int:
    """The smallest batch of at least this size that divides over the devices."""
    devices = batch_devices(layout)
    return -(-batch // devices) * devices


def check_batch(name: str, batch: int, layout: Parallel) -> None:
    """Raises UserError where a global batch does not divide over the devices."""
    devices = batch_devices(layout)
    if batch % devices:
        below, above = batch // devices * devices, divisible(batch, layout)
        valid = f'{below} or {above}' if below else f'{above}'
        raise UserError(
            f'{name}.batch is {batch}, which does not divide over {devices} devices; '
            f'the nearest valid batch is {valid}.'
        )
