"""What a train step takes of a device's memory, told before the run.

Asks the compiler, with abstract shapes: no array is made. Knows jobs and numbers.
"""

import math
from collections.abc import Callable

import jax

from trainer import parallel
from trainer.footprint import MIB
from trainer.job import Job
from trainer.judgements import ROOM, step_memory
from trainer.remedies import exhausted, remedies, unit_of

MOST_COMPILES = 6
FINE = 1 / 16  # of a batch: nearer to the largest is not looked for


def examine(job: Job, limit: int | None = None) -> dict:
    """Bytes that a step takes on each device, and the largest batch that fits, as JSON.

    Args:
      job: its data are opened, nothing else is done.
      limit: bytes of a device; None asks the first. Of them 90 % may be taken.
    """
    limit = limit or parallel.device_memory()
    batch, unit = job.experiment.train_data.batch, unit_of(job)
    held = sum(shard_bytes(leaf) for leaf in jax.tree.leaves(job.abstract_state()))
    sizes: dict[int, float] = {}

    def bytes_of(size: int) -> float:
        if size not in sizes:
            sizes[size] = compiled_bytes(job, size)
        return sizes[size]

    room = math.inf if limit is None else ROOM * limit
    most = len(job.datasets['train']) // unit * unit
    largest = largest_batch(bytes_of, batch, held, (unit, most), room)
    return {
        'batch': batch,
        'step_bytes': finite(bytes_of(batch)),
        'state_bytes': held,
        'device_bytes': limit,
        'fits': bytes_of(batch) <= room,
        'remedies': remedies(job, largest),
        'largest_batch': largest,
        'largest_bytes': finite(sizes.get(largest, math.inf)),
        'examples': len(job.datasets['train']),
        'compiled': len(sizes),
    }


def largest_batch(
    bytes_of: Callable[[int], float],
    batch: int,
    held: int,
    bounds: tuple[int, int],
    room: float,
) -> int:
    """The largest batch that fits, within a sixteenth; 0 where none does.

    What a step takes is nearly a line over the batch: each guess lies on the line
    through what is known, and is compiled to be sure.

    Args:
      bytes_of: what a step of a batch takes; infinity where it cannot be compiled.
      batch: known to be of a sensible size.
      held: bytes that every batch needs.
      bounds: what a batch is a multiple of, and the largest that there can be.
      room: bytes.
    """
    unit, most = bounds
    low, high = (0, held), (most + unit, math.inf)
    guess = batch
    for _ in range(MOST_COMPILES):
        size = bytes_of(guess)
        if size <= room:
            low = guess, size
        else:
            high = guess, size
        if high[0] - low[0] <= max(unit, FINE * low[0]):
            break
        guess = _between(low, high, (guess, size), held, room) // unit * unit
        guess = min(max(guess, low[0] + unit), high[0] - unit)
    return low[0]


def _between(low, high, last, held: int, room: float) -> int:
    """The batch whose step fills the room, as the line through what is known says."""
    (left, below), (right, above) = low, high
    if math.isinf(above) and math.isinf(last[1]):
        return (left + right) // 2
    if math.isinf(above):
        left, below, right, above = 0, held, *last
    if above <= below:
        return (low[0] + high[0]) // 2
    guess = left + (room - below) * (right - left) / (above - below)
    return int(min(guess, high[0]))


def compiled_bytes(job: Job, size: int) -> float:
    """Bytes of a train step of a batch of this size; infinity where there are none."""
    try:
        train = job.datasets['train']
        return step_memory(job.programs.begin_train_step(train, size=size).result())
    except jax.errors.JaxRuntimeError as error:
        if not exhausted(error):
            raise
        return math.inf


def shard_bytes(leaf: jax.ShapeDtypeStruct) -> int:
    """Bytes of an abstract array on each device."""
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def finite(size: float) -> int | None:
    """The bytes, or None where they are not known."""
    return None if math.isinf(size) else int(size)


def text(found: dict) -> str:
    """What `examine` found, in two lines."""
    limit, largest = found['device_bytes'], found['largest_batch']
    of = f' of {mib(limit)}' if limit else ''
    lines = [
        f'a step of batch {found["batch"]:,} takes {mib(found["step_bytes"])}{of} on '
        f'each device, {mib(found["state_bytes"])} of them the state'
    ]
    if not largest:
        lines.append('no batch fits: cut the state over devices (Parallel.fsdp)')
    else:
        every = largest + largest // 16 > found['examples']
        lines.append(
            f'the largest batch that fits is {largest:,}, of '
            f'{mib(found["largest_bytes"])}' + (', all training data' if every else '')
        )
    if not found['fits']:
        lines.append(
            f'mistake: batch {found["batch"]:,} does not fit; {found["remedies"]}'
        )
    return '\n'.join(lines)


def mib(size: float | None) -> str:
    """'412.3 MiB'."""
    return 'more than there is' if size is None else f'{size / MIB:,.1f} MiB'
