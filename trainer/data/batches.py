"""From an order and a reader to batches, by Grain.

Knows positions, processes and threads; which example lies where is `order`'s affair.
Close the generators (`contextlib.closing`) and what they have started ends with them.
"""

import atexit
import multiprocessing
import os
import threading
import weakref
from collections.abc import Iterator

import grain
import numpy as np
from absl import flags

from trainer.data.order import rows_of
from trainer.errors import TrainingFailed
from trainer.host_memory import keep_freed_memory

BUFFERED_BATCHES = 8  # read ahead of the step, over all threads or worker processes
KILLED = 'Worker process was terminated unexpectedly'  # as Grain says it

_open = weakref.WeakSet()  # iterators that nobody has closed yet


class Whole:
    """Step -> its batch; what Grain's threads and workers run.

    Grain hands whole batches on, not examples: what it does for each element costs as
    much as a tenth of a JPEG.
    """

    def __init__(self, reader, order, share: tuple[int, int]):
        self.reader, self.order = reader, order
        self.rows = rows_of(share, order.batch)

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        positions = step * self.order.batch + self.rows
        index, mask = self.order(positions)
        images, rest = None, []
        chances = generators(self.order.seed, positions)
        for row, (i, rng) in enumerate(zip(index.tolist(), chances, strict=True)):
            example = dict(self.reader(i, rng))
            image = example.pop('image')
            if images is None:
                images = np.empty((len(index), *image.shape), image.dtype)
            images[row] = image  # while it is in the processor's cache
            rest.append(example)
        batch = {key: np.stack([e[key] for e in rest]) for key in rest[0]}
        right = self.order.replaces | (batch['index'] == index)
        return {'image': images, **batch, 'mask': mask & right}


def generators(seed: int, positions: np.ndarray) -> Iterator[np.random.Generator]:
    """For each position of a run its chance; the same object, set anew each time.

    Philox is a function of a key and a counter: the position is the counter's highest
    word, so a picture depends on seed and position alone, not on who reads it.
    """
    bits = np.random.Philox(seed % 2**32)
    rng, state = np.random.Generator(bits), bits.state
    for position in positions.tolist():
        state['state']['counter'][3] = position
        bits.state = state
        yield rng


def read_batches(
    reader, order, start_step: int, share: tuple[int, int], workers: int
) -> Iterator[dict[str, np.ndarray]]:
    """Batches read ahead of time, as many at once as there are threads or workers.

    A process reads consecutive rows, and so an example has the same row of the global
    batch, and with it the same keys on the device, for any number of processes.

    Args:
      reader: (index, rng) -> example; all images of one shape.
      order: `Shuffled` or `Sequential`.
      start_step: the first batch.
      share: (process_index, process_count).
      workers: Grain processes; 0 for threads.
    """
    steps = grain.MapDataset.range(start_step, len(order) // order.batch)
    made = steps.map(Whole(reader, order, share))
    batches = _iterate(_read_ahead(made, workers), copy=workers > 0)
    _open.add(batches)
    return batches


def _iterate(dataset: grain.IterDataset, copy: bool):
    batches = iter(dataset)
    try:
        for batch in batches:
            yield _own(batch) if copy else batch
    except RuntimeError as error:
        if KILLED not in str(error):
            raise
        raise TrainingFailed(
            'A process that reads data was killed, as a machine does that is short of '
            'memory; set fewer Images.workers or a smaller batch. The same command '
            'goes on.'
        ) from error
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


def _read_ahead(made: grain.MapDataset, workers: int) -> grain.IterDataset:
    if not flags.FLAGS.is_parsed():  # Grain reads its flags, in notebooks and tests too
        flags.FLAGS.mark_as_parsed()
    if not workers:
        threads = min(BUFFERED_BATCHES, os.cpu_count())
        options = grain.ReadOptions(
            num_threads=threads, prefetch_buffer_size=BUFFERED_BATCHES
        )
        return made.to_iter_dataset(options)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    return made.to_iter_dataset(options).mp_prefetch(
        grain.MultiprocessingOptions(
            num_workers=workers,
            per_worker_buffer_size=max(1, BUFFERED_BATCHES // workers),
        ),
        worker_init_fn=_start_worker,
    )


def _start_worker(worker_index: int, worker_count: int) -> None:
    """A worker keeps the memory of one picture for the next, and ends with its parent.

    Were it by SIGKILL: the parent holds one end of a pipe that the kernel closes when
    it dies. Linux's parent-death signal would come when the spawning *thread* ends,
    which is too early.
    """
    keep_freed_memory()
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
