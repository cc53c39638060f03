"""Decoded examples kept in the host's memory, and batches of them; knows no files."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from trainer.data.order import rows_of

COMING = 256  # examples that are asked for: Python waits for them when it ends


class Held:
    """All examples of a reader, read once; each field is one array [N, ...].

    Images of varying size, which a random crop will bring to one, are kept as a list,
    and so is all that is as large as they are.
    """

    def __init__(self, reader):
        examples, coming = [], deque()
        with ThreadPoolExecutor(min(8, os.cpu_count())) as threads:
            for row in range(len(reader)):
                if len(coming) == COMING:
                    examples.append(coming.popleft().result())
                coming.append(threads.submit(reader.__getitem__, row))
            examples.extend(one.result() for one in coming)
        self.fields = {}
        for field in examples[0]:
            values = [example[field] for example in examples]
            uniform = len({np.shape(value) for value in values}) == 1
            self.fields[field] = np.stack(values) if uniform else values

    def __len__(self):
        return len(self.fields['index'])

    @property
    def replaced(self) -> np.ndarray:
        """The rows in whose place another example was read."""
        rows = np.arange(len(self))
        return rows[self.fields['index'] != rows]

    def __getitem__(self, index) -> dict:
        """An example, as the reader gave it."""
        return {field: values[index] for field, values in self.fields.items()}

    def batch(self, index: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """The examples at `index` [B] by one gather; images must be of one size."""
        gathered = {key: v.take(index, axis=0) for key, v in self.fields.items()}
        return {**gathered, 'mask': mask}


def in_thread(read: Callable[[], Held]) -> Future:
    """What is being read, in a thread for which whoever leaves hardly waits."""
    pool = ThreadPoolExecutor(1, thread_name_prefix='read')
    reading = pool.submit(read)
    pool.shutdown(wait=False)
    return reading


def gather_batches(
    held: Held, order, start_step: int, share: tuple[int, int]
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `batches.read_batches`, each by one gather."""
    for rows in row_batches(held, order, start_step, share):
        yield held.batch(rows['row'], rows['mask'])


def row_batches(
    held: Held, order, start_step: int, share: tuple[int, int]
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
