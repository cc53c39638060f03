"""How long the device had nothing to do because no batch was there; exact, per step.

A thread waits for each step to end, beside the loop: asking a step whether it is done
costs nothing, but says neither when it was nor how long it took. Knows a clock and
an array that each step makes; no data and no model.
"""

import queue
import statistics
import threading
import time

import jax

from trainer.phases import Phases


class Stopwatch:
    """Seconds of the loop, of those in which the device waited for data, and of steps.

    A wait for a batch counts from the end of the last step that was sent off: as long
    as the device is busy, nothing is lost.

    Args:
      phases: is told of all that waiting, as 'input'.
      ideal: seconds that a step would take at the peak of its device; None where that
        is not known.
    """

    def __init__(self, phases: Phases | None = None, ideal: float | None = None):
        self.phases, self.ideal = phases or Phases(quiet=True), ideal
        self._sent = queue.SimpleQueue()
        self._pending, self._lock = 0, threading.Lock()
        self._ended = time.perf_counter()
        self.restart()
        threading.Thread(target=self._follow, daemon=True).start()

    def restart(self) -> None:
        """Forgets what was measured, and what was done since by others."""
        self._begin()
        self._resumed = self.started

    def _begin(self) -> None:
        self.started, self.waited, self.steps = time.perf_counter(), 0.0, 0
        self.busy, self.finished, self.lasted = 0.0, 0, []

    def next(self, batches):
        """The next batch, the time counted that the device waited for it."""
        asked = time.perf_counter()
        batch = next(batches)
        arrived = time.perf_counter()
        with self._lock:
            if not self._pending:
                lost = arrived - max(asked, self._ended)
                self.waited += lost
                self.phases.add('input', lost)
        return batch

    def sent(self, made: jax.Array, steps: int = 1) -> None:
        """Notes that steps were sent off, whose last makes an array."""
        self.steps += steps
        with self._lock:
            self._pending += 1
        self._sent.put((time.perf_counter(), made, steps))

    def close(self) -> None:
        """Ends the thread."""
        self._sent.put(None)

    def read(self, batch_size: int) -> dict[str, float]:
        """Figures since the last reading, under their metric names; starts anew.

        Empty where no step was begun since: the first one of a run is not counted.
        """
        seconds = max(time.perf_counter() - self.started, 1e-9)
        steps, waited = self.steps, self.waited
        device = self.busy / self.finished if self.finished else 0.0
        lasted = self.lasted
        self._begin()
        if not steps:
            return {}
        figures = {
            'perf/images_per_second': steps * batch_size / seconds,
            'perf/step_ms': 1000 * seconds / steps,
            'perf/device_ms': 1000 * device,
            'perf/input_wait': waited / seconds,
        }
        if lasted:
            several = lasted if len(lasted) > 1 else 2 * lasted
            shares = statistics.quantiles(several, n=20, method='inclusive')
            figures['perf/step_ms_p50'] = 1000 * shares[9]
            figures['perf/step_ms_p95'] = 1000 * shares[18]
        if self.ideal is not None:
            figures['perf/mfu'] = self.ideal * steps / seconds
        return figures

    def _follow(self):
        while (sent := self._sent.get()) is not None:
            at, made, steps = sent
            try:
                made.block_until_ready()
            except Exception:  # the loop meets it too, and says so
                return
            now = time.perf_counter()
            with self._lock:
                self.busy += now - max(at, self._ended)
                whole = now - max(self._resumed, self._ended)
                self.lasted += [whole / steps] * steps
                self.finished += steps
                self._ended, self._pending = now, self._pending - 1
