"""The mesh of devices, and how state and batches are laid on it.

Knows nothing of models or data: arrays and pytrees only. One CPU is a mesh of one.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trainer.errors import UserError

DATA_AXIS = 'data'


def make_mesh() -> Mesh:
    """All devices of all processes in one line, named 'data'."""
    return Mesh(np.array(jax.devices()), (DATA_AXIS,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def over_data(mesh: Mesh) -> NamedSharding:
    """The first axis cut over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def place(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's share of a batch becomes its part of the global batch."""
    sharding = over_data(mesh)
    return {
        key: jax.make_array_from_process_local_data(sharding, value)
        for key, value in batch.items()
    }


def is_main() -> bool:
    """True on the one process that writes, saves and speaks."""
    return jax.process_index() == 0


def check_batch(name: str, batch: int) -> None:
    """Raises UserError where a global batch does not divide over the devices."""
    devices = jax.device_count()
    if batch % devices:
        below, above = batch // devices * devices, -(-batch // devices) * devices
        valid = f'{below} or {above}' if below else f'{above}'
        raise UserError(
            f'{name}.batch is {batch}, which does not divide over {devices} devices; '
            f'the nearest valid batch is {valid}.'
        )
