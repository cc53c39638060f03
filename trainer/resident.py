"""A data set that lies on the devices as a whole: batches are gathered inside the step.

What travels at a step is row numbers. Every device holds all examples, so that any of
them may lie in any part of a batch. Knows arrays and a mesh; no model and no file.
"""

import weakref

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from trainer import parallel
from trainer.data import Dataset
from trainer.errors import UserError

ROOM = 0.8  # of a device's memory may be data; the model needs the rest

Batch = dict[str, jax.Array]

_placed = weakref.WeakKeyDictionary()


def is_resident(dataset: Dataset) -> bool:
    """Whether a data set is to lie on the devices."""
    return dataset.images.cache == 'device'


def place_all(dataset: Dataset, mesh: Mesh) -> Batch:
    """All examples on every device, {field: [N, ...]}; placed once, while it is held.

    Raises:
      UserError: they do not fit, or chance decides what they look like.
    """
    check_resident(dataset)
    held, everywhere = dataset.held, parallel.replicated(mesh)
    if held not in _placed:
        _placed[held] = {
            field: jax.make_array_from_process_local_data(everywhere, values)
            for field, values in held.fields.items()
        }
    return _placed[held]


def check_resident(dataset: Dataset, memory: int | None = None) -> None:
    """Raises UserError where a data set cannot lie on a device.

    Args:
      dataset: nothing of it is read.
      memory: bytes of a device; None asks the first, and believes a silent one.
    """
    name = dataset.source.name
    if dataset.random:
        chance = type(dataset.random[0]).__name__
        raise UserError(
            f"Images.cache is 'device', but {chance} draws each image of {name} anew, "
            f"on the host; give Images.augment instead, or Images.cache = 'host'."
        )
    memory = memory or parallel.device_memory()
    if memory and dataset.num_bytes > ROOM * memory:
        raise UserError(
            f"Images.cache is 'device', but {name} takes {_size(dataset.num_bytes)} "
            f'and a device has {_size(memory)}, of which {ROOM:.0%} may be data; set '
            f"Images.cache = 'disk' or 'host', or a smaller Images.size."
        )


def place_rows(rows: list[dict[str, np.ndarray]], mesh: Mesh) -> Batch:
    """This process's share of one batch's rows, or of several in a row [K, B]."""
    if len(rows) == 1:
        return parallel.place(rows[0], mesh)
    sharding = _over_rows(mesh)
    return {
        key: jax.make_array_from_process_local_data(
            sharding, np.stack([row[key] for row in rows])
        )
        for key in rows[0]
    }


def gather(batch: dict) -> Batch:
    """`{'rows': {'row' [B], 'mask' [B]}, 'held': fields}` -> the batch, [B, ...].

    Another batch comes back as it is. To be called inside the jitted step; the barrier
    keeps the compiler from fusing the gather into what follows, so that the numbers are
    those of a batch which came from the host.
    """
    if 'held' not in batch:
        return batch
    rows = batch['rows']
    taken = {k: jnp.take(v, rows['row'], axis=0) for k, v in batch['held'].items()}
    return jax.lax.optimization_barrier({**taken, 'mask': rows['mask']})


def abstract(dataset: Dataset, rows: tuple[int, int], mesh: Mesh) -> dict:
    """Shapes and types of what `gather` takes; `rows` is [K, B], K batches in a row."""
    everywhere, (count, size) = parallel.replicated(mesh), rows
    example = {**dataset[0], 'index': np.int32(0)}
    held = {
        key: jax.ShapeDtypeStruct(
            (len(dataset), *np.shape(value)),
            jax.dtypes.canonicalize_dtype(np.asarray(value).dtype),
            sharding=everywhere,
        )
        for key, value in example.items()
    }
    shape, sharding = (size,), parallel.over_data(mesh)
    if count > 1:
        shape, sharding = (count, size), _over_rows(mesh)
    rows = {
        'row': jax.ShapeDtypeStruct(shape, np.int32, sharding=sharding),
        'mask': jax.ShapeDtypeStruct(shape, np.bool_, sharding=sharding),
    }
    return {'rows': rows, 'held': held}


def _over_rows(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(None, parallel.BATCH_AXES))


def _size(count: int) -> str:
    return f'{count / 2**30:,.2f} GiB' if count > 2**27 else f'{count / 2**20:,.1f} MiB'
