"""What the loop measures, read late and written once: metrics, speed, waiting.

Reading a metric waits for the device, so an interval is taken at its step but read
after the next step has been sent off. Knows writers and a bar; nothing of models.
"""

import jax
import numpy as np

from trainer import footprint, rundir, writers
from trainer.chronicle import Chronicle
from trainer.divergence import Diverged
from trainer.footprint import MIB
from trainer.foretelling import ENOUGH, foretell
from trainer.job import Job
from trainer.parallel import fetch
from trainer.progress import FINAL_LOSS
from trainer.state import TrainState

LOSS = 'val/loss'


class Recorder:
    """Takes an interval's metrics from the device and gives them to writer and bar.

    Args:
      job: its task summarises metrics, its epochs are those of the log.
      writer: has `write_scalars(step, scalars)`.
      bar: a `ProgressBar`.
      chronicle: keeps times and what evaluations have found.
    """

    def __init__(self, job: Job, writer, bar, chronicle: Chronicle):
        self.job, self.writer, self.bar, self.chronicle = job, writer, bar, chronicle
        spent = chronicle.phases.seconds
        self.compiled = spent.get('trace', 0) + spent.get('compile', 0) or None
        self.pending = None
        past = writers.history(chronicle.directory / rundir.METRICS)
        self.losses = [line[LOSS] for line in past if line.get(LOSS) is not None]

    def first_step(self, watch) -> None:
        """Waits for the first step, so that its time is a phase of its own."""
        phases = self.chronicle.phases
        with phases('first step'):
            jax.block_until_ready(watch)
        phases.say_total()

    def advance(self, step: int) -> None:
        """Moves the bar, and writes what was taken before this step was sent off."""
        self.flush()
        self.bar.begin(step)
        self.bar.advance(step)

    def take(self, step: int, state: TrainState, watch, figures: dict) -> None:
        """Keeps what a log line needs; `flush` reads and writes it.

        With hooks that is at once: the state is gone when the next step is sent off.
        """
        self.pending = step, state.interval, watch, figures
        if self.job.experiment.hooks:
            self.flush(state)

    def flush(self, state: TrainState | None = None) -> None:
        """Writes the line that was taken, waiting for the device if it must.

        Raises:
          Diverged: the loss or a gradient was not finite.
        """
        if self.pending is None:
            return
        (step, metrics, watch, figures), self.pending = self.pending, None
        watch = fetch(watch)
        self.check(step, watch)
        summary = self.job.task.summarize(metrics)
        scalars = {f'train/{key}': value for key, value in summary.items()}
        for norm in ('grad_norm', 'update_norm'):
            scalars[f'train/{norm}'] = float(watch[norm])
        scalars['learning_rate'] = float(watch['learning_rate'])
        scalars |= self.hooked(step, state, scalars)
        line = {**scalars, **figures, **self.costs()}
        self.writer.write_scalars(step, line)
        self.bar.update(step, line)

    def costs(self) -> dict[str, float]:
        """The memory taken at the most so far; once, what compiling has held up."""
        peaks = footprint.memory().items()
        figures = {f'perf/peak_{name}_mib': size / MIB for name, size in peaks}
        if self.compiled is not None:
            figures['perf/compile_seconds'], self.compiled = self.compiled, None
        return figures

    def check(self, step: int, watch) -> None:
        """Raises Diverged if any step so far was not finite."""
        bad = int(watch['bad_step'])
        if bad >= 0:
            raise Diverged(bad, noticed=step)

    def settle(self) -> None:
        """Writes what was taken, and brings all lines so far onto the disk itself."""
        self.flush()
        self.writer.flush()

    def evaluated(self, step: int, state: TrainState, scalars: dict) -> None:
        """Writes the line of an evaluation."""
        epoch = round(step / self.job.steps_per_epoch, 4)
        epoch = int(epoch) if epoch == int(epoch) else epoch
        scalars = scalars | self.hooked(step, state, scalars)
        self.writer.write_scalars(step, {'epoch': epoch, **scalars})
        self.bar.evaluated(step, scalars | self.foretold(step, scalars))

    def foretold(self, step: int, scalars: dict) -> dict[str, float]:
        """The loss at the end of the run, once there is a curve to tell it by.

        That is what has come since its highest value: many runs begin with a rise.
        """
        if scalars.get(LOSS) is not None:
            self.losses.append(scalars[LOSS])
        if step == self.job.total_steps or not np.isfinite(self.losses).all():
            return {}
        highest = int(np.argmax(self.losses)) if self.losses else 0
        since = self.losses[highest:]
        if len(since) < ENOUGH:
            return {}
        last = len(self.losses) * self.job.total_steps / step - highest
        floor = min(0.0, *since)  # most losses cannot fall below 0
        return {FINAL_LOSS: foretell(since, last, floor)}

    def hooked(self, step: int, state: TrainState | None, scalars: dict) -> dict:
        """What the hooks add to a line."""
        added = {}
        for hook in self.job.experiment.hooks:
            added |= hook(step, state, scalars) or {}
        return added
