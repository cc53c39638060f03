"""From an order and a reader to batches, by Grain or by a gather; the same batches.

Knows positions, processes and threads; which example lies where is `order`'s affair.
Both ways give generators: close them (`contextlib.closing`) and what they have
started ends with them.
"""

import atexit
import itertools
import multiprocessing
import os
import sys
import threading
import weakref
from collections.abc import Iterator

import grain
import numpy as np
from absl import flags

from trainer.data.order import rows_of

BUFFERED_BATCHES = 8  # read ahead of the step, over all threads or worker processes

_open = weakref.WeakSet()  # iterators that nobody has closed yet


class Element:
    """Position -> one row of a batch; what Grain's threads and workers run."""

    def __init__(self, reader, order):
        self.reader, self.order = reader, order

    def __call__(self, position: int, rng: np.random.Generator) -> dict:
        index, mask = self.order(position)
        example = self.reader(int(index), rng)
        right = self.order.replaces or example['index'] == index
        return {**example, 'mask': np.bool_(mask & right)}


def read_batches(
    reader, order, start_step: int, share: tuple[int, int], workers: int
) -> Iterator[dict[str, np.ndarray]]:
    """Batches read example by example, ahead of time.

    The random map stands before the slice, so an example's rng depends on the seed and
    its position in the run alone: not on processes, workers or where the run began.
    A process reads consecutive rows, and so an example has the same row of the global
    batch, and with it the same keys on the device, for any number of processes.

    Args:
      reader: (index, rng) -> example.
      order: `Shuffled` or `Sequential`.
      start_step: the first batch.
      share: (process_index, process_count).
      workers: Grain processes; 0 for threads.
    """
    process, processes = share
    rows = (
        grain.MapDataset.range(len(order))
        .seed(order.seed % 2**32)
        .random_map(Element(reader, order))
        .batch(order.batch // processes)
        .slice(slice(start_step * processes + process, sys.maxsize, processes))
    )
    batches = _iterate(_read_ahead(rows, workers), copy=workers > 0)
    _open.add(batches)
    return batches


def _iterate(dataset: grain.IterDataset, copy: bool):
    batches = iter(dataset)
    try:
        for batch in batches:
            yield _own(batch) if copy else batch
    finally:
        batches.close()


@atexit.register
def _close_all():
    """Before Python takes itself apart: what Grain then ends late, it ends loudly."""
    for batches in list(_open):
        batches.close()


def _own(batch):
    """A copy, so that nobody keeps the shared memory in which workers hand it over."""
    return {key: np.array(value) for key, value in batch.items()}


def _read_ahead(rows: grain.MapDataset, workers: int) -> grain.IterDataset:
    if not flags.FLAGS.is_parsed():  # Grain reads its flags, in notebooks and tests too
        flags.FLAGS.mark_as_parsed()
    if not workers:
        threads = min(BUFFERED_BATCHES, os.cpu_count())
        options = grain.ReadOptions(
            num_threads=threads, prefetch_buffer_size=BUFFERED_BATCHES
        )
        return rows.to_iter_dataset(options)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    return rows.to_iter_dataset(options).mp_prefetch(
        grain.MultiprocessingOptions(
            num_workers=workers,
            per_worker_buffer_size=max(1, BUFFERED_BATCHES // workers),
        ),
        worker_init_fn=_end_with_parent,
    )


def _end_with_parent(worker_index: int, worker_count: int) -> None:
    """Makes a worker end with its parent, were it by SIGKILL.

    The parent holds one end of a pipe that the kernel closes when it dies. Linux's
    parent-death signal would come when the spawning *thread* ends, which is too early.
    """
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def gather_batches(
    held, order, start_step: int, share: tuple[int, int]
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `read_batches`, each by one gather from memory (see `Held`)."""
    for rows in row_batches(held, order, start_step, share):
        yield held.batch(rows['row'], rows['mask'])


def row_batches(
    held, order, start_step: int, share: tuple[int, int]
) -> Iterator[dict[str, np.ndarray]]:
    """Which rows of `held` each batch is: {'row' [B] int32, 'mask' [B] bool}."""
    rows = rows_of(share, order.batch)
    steps = itertools.takewhile(
        lambda step: step < len(order) // order.batch, itertools.count(start_step)
    )
    for step in steps:
        index, mask = order(step * order.batch + rows)
        if not order.replaces:
            mask = mask & (held.fields['index'][index] == index)
        yield {'row': np.asarray(index, np.int32), 'mask': mask}
