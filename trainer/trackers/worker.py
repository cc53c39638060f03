"""One writer in a thread of its own: in order, off the step's way, never in its way.

Knows nothing of what is written. A writer that fails is warned of once and is still
given what comes later: a full disk may be emptied, a server come back. Lines are
written several at once: one alone, between two steps that have filled the caches with
their own, takes a processor some twenty times as long.
"""

import queue
import threading
import time
from collections.abc import Callable

from trainer.screen import warn

ITEMS = 10_000  # that wait at most; then those for a server are left out,
ENDINGS = ('end', 'close', '')  # but never these
PROMPT = ('flush', *ENDINGS)  # somebody waits for them, and all before is written
GATHERING = 0.5  # seconds that anything else may wait for more of it
PATIENCE, AT_THE_END = 20.0, 120.0  # seconds that an ending waits, or a run's end


class Worker:
    """Makes a writer in its thread, and calls there what `put` is given."""

    def __init__(self, name: str, make: Callable, durable: bool = False):
        """Starts the thread.

        Args:
          name: of the writer, for warnings.
          make: gives the writer; it is called again where it failed.
          durable: whether saves and the end wait until all is written.
        """
        self.name, self.durable = name, durable
        self._make, self._writer, self._warned = make, None, False
        self._queue: queue.Queue = queue.Queue(ITEMS if durable else 0)
        self._prompt = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, method: str, *arguments) -> None:
        """Has the writer's method called; waits for nothing where a server is slow."""
        full = not self.durable and self._queue.qsize() >= ITEMS
        if full and method not in ENDINGS:
            self._report(TimeoutError(f'{ITEMS:,} calls wait already'))
        else:
            self._queue.put((method, arguments))
            if method in PROMPT:
                self.hasten()

    def hasten(self) -> None:
        """Has written what was put without waiting for more of it."""
        self._prompt.set()

    def settle(self) -> None:
        """Waits until all so far is written, where the writer is durable."""
        self.put('flush')
        if self.durable:
            self._queue.join()

    def finish(self) -> None:
        """Lets the thread end behind what was put; may be called twice."""
        if self._thread.is_alive():
            self.put('close')
            self.put('')

    def join(self, until: float) -> None:
        """Waits for the thread; where a server is slow, until `time.monotonic()`."""
        left = max(0.0, until - time.monotonic())
        self._thread.join(None if self.durable else left)
        if self._thread.is_alive():
            warn(
                f'{self.name} has not taken everything in the time it was given; what '
                f'it lacks stands in metrics.jsonl, and it gets it if the run goes on'
            )

    def _work(self) -> None:
        """Does what was put, until it takes an empty name."""
        while True:
            method, arguments = self._queue.get()
            if self._queue.empty() and method not in PROMPT:
                self._prompt.wait(GATHERING)
            self._prompt.clear()
            try:
                if not method:
                    return
                self._writer = self._writer or self._make()
                getattr(self._writer, method)(*arguments)
            except Exception as error:
                self._report(error)
            finally:
                self._queue.task_done()

    def _report(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warn(
                f'{self.name} failed and may miss some metrics; the run goes on '
                f'({type(error).__name__}: {error})'
            )
