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
    """How long steps took from one end to the next, and waited for data meanwhile.

    All figures are of steps that have ended: those that are under way, two at most,
    count when they end. A wait for a batch counts from the end of the last step that
    was sent off: as long as the device is busy, nothing is lost.

    Args:
      phases: is told of all that waiting, as 'input'.
      ideal: seconds that a step would take at the peak of its device; None where that
        is not known.
    """

    def __init__(self, phases: Phases | None = None, ideal: float | None = None):
        self.phases, self.ideal = phases or Phases(quiet=True), ideal
        self._sent = queue.SimpleQueue()
        self._pending, self._lock = 0, threading.Lock()
        self._ended, self._round = time.perf_counter(), 0
        self.restart()
        threading.Thread(target=self._follow, daemon=True).start()

    def restart(self) -> None:
        """Forgets what was measured, what others did since, and steps under way."""
        with self._lock:
            self._begin()
            self._resumed, self._late = time.perf_counter(), 0.0
            self._round += 1

    def _begin(self) -> None:
        self.waited, self.busy, self.lasted = 0.0, 0.0, []

    def next(self, batches):
        """The next batch, the time counted that the device waited for it."""
        asked = time.perf_counter()
        batch = next(batches)
        arrived = time.perf_counter()
        with self._lock:
            if not self._pending:
                late = arrived - max(asked, self._ended)
                self._late += late
                self.phases.add('input', late)
        return batch

    def sent(self, made: jax.Array, steps: int = 1) -> None:
        """Notes that steps were sent off, whose last makes an array."""
        with self._lock:
            self._pending += 1
            late, self._late = self._late, 0.0
        self._sent.put((time.perf_counter(), made, steps, late, self._round))

    def settle(self) -> None:
        """Waits until all steps that were sent off have been seen to end."""
        seen = threading.Event()
        self._sent.put(seen)
        seen.wait()

    def close(self) -> None:
        """Ends the thread."""
        self._sent.put(None)

    def read(self, batch_size: int) -> dict[str, float]:
        """Figures since the last reading, under their metric names; starts anew.

        Empty where no step has ended since: the first one of a run is not counted.
        """
        with self._lock:
            waited, busy, lasted = self.waited, self.busy, self.lasted
            self._begin()
        if not lasted:
            return {}
        steps, seconds = len(lasted), max(sum(lasted), 1e-9)
        several = lasted if steps > 1 else 2 * lasted
        shares = statistics.quantiles(several, n=20, method='inclusive')
        figures = {
            'perf/images_per_second': steps * batch_size / seconds,
            'perf/step_ms': 1000 * seconds / steps,
            'perf/device_ms': 1000 * busy / steps,
            'perf/input_wait': waited / seconds,
            'perf/step_ms_p50': 1000 * shares[9],
            'perf/step_ms_p95': 1000 * shares[18],
        }
        if self.ideal is not None:
            figures['perf/mfu'] = self.ideal * steps / seconds
        return figures

    def _follow(self):
        while (sent := self._sent.get()) is not None:
            if isinstance(sent, threading.Event):
                sent.set()
                continue
            try:
                sent[1].block_until_ready()
            except Exception:  # the loop meets it too, and says so
                return
            with self._lock:
                self._note(time.perf_counter(), *sent)

    def _note(self, now: float, at: float, made, steps: int, late: float, of: int):
        """Counts steps that ended now, unless they were sent off before a restart."""
        if of == self._round:
            whole = now - max(self._resumed, self._ended)
            self.lasted += [whole / steps] * steps
            self.busy += now - max(at, self._ended)
            self.waited += late
        else:
            self._resumed = now
        self._ended, self._pending = now, self._pending - 1
