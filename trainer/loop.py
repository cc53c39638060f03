"""The loop: from a state and batches to a trained model, saved and scored.

Names no model, no task and no data set. The order of events at a step, on which exact
resumption rests: step, log, evaluate, save. What is written for a step is written
before that step is saved.
"""

import dataclasses
from collections import deque
from collections.abc import Callable

import jax
import numpy as np

from trainer import parallel
from trainer.checkpoints import CheckpointStore
from trainer.errors import Interrupted
from trainer.evaluate import evaluate
from trainer.job import Job
from trainer.plateau import PlateauTracker
from trainer.recorder import Recorder, Stopwatch
from trainer.selection import Tracker
from trainer.signals import Stop
from trainer.state import TrainState

IN_FLIGHT = 2  # more would hide the step that failed, and can deadlock on CPU devices


@dataclasses.dataclass
class Loop:
    """One training run under way.

    Attributes:
      job: what it works with.
      store: where checkpoints go.
      tracker: the best evaluation so far, and whether to stop early.
      manifest: what each checkpoint says about the run.
      stop: true once a signal has asked to stop.
      plateau: lowers the learning rate by what evaluations say, or None.
      train_step: compiled.
      recorder: where metrics go.
      evaluated, saved: the last steps at which these were done.
    """

    job: Job
    store: CheckpointStore
    tracker: Tracker
    manifest: dict
    stop: Stop
    plateau: PlateauTracker | None = None
    train_step: Callable | None = None
    recorder: Recorder | None = None
    evaluated: int = 0
    saved: int = 0

    def run(self, state: TrainState) -> TrainState:
        """Trains from the state's step to the end of the run, saved at its last step.

        Raises:
          Interrupted: a signal came; the state has been saved.
          TrainingFailed: the loss or a gradient was not finite.
        """
        job, experiment = self.job, self.job.experiment
        step = start = int(state.step)
        save_every = job.every(experiment.save_every)
        state, _ = self.evaluate_if_due(state, step)  # one that a signal cut short
        watch, in_flight, clock = None, deque(), Stopwatch()
        batches = self.batches(step)
        while step < job.total_steps and not self.stop and not self.tracker.should_stop:
            batch = clock.next(batches)
            if len(in_flight) == IN_FLIGHT:
                jax.block_until_ready(in_flight.popleft())
            state, watch = self.train_step(state, batch)
            if step == start:
                self.recorder.first_step(watch)
                clock.restart()
            in_flight.append(watch)
            step += 1
            self.recorder.advance(step)
            if due(step, experiment.log_every, job.total_steps):
                figures = clock.read(experiment.train_data.batch)
                self.recorder.take(step, state, watch, figures)
                empty = job.fresh_metrics(train=True)
                state = dataclasses.replace(state, interval=empty)
            state, improved = self.evaluate_if_due(state, step)
            if improved or due(step, save_every, job.total_steps):
                self.save(state, step, watch)
            if self.evaluated == step or self.saved == step:
                clock.restart()
        batches.close()
        return self.finish(state, step, watch)

    def batches(self, step: int):
        """Global batches on the mesh from the given step on."""
        train = self.job.datasets['train']
        shares = jax.process_index(), jax.process_count()
        batches = train.train_batches(self.job.experiment.seed, step, *shares)
        try:
            for batch in batches:
                yield parallel.place(batch, self.job.mesh)
        finally:
            batches.close()

    def evaluate_if_due(self, state: TrainState, step: int) -> tuple[TrainState, bool]:
        """Scores the evaluation data where the step asks for it, once.

        Returns:
          The state with the epoch's metrics begun anew, and whether it is the best.
        """
        job = self.job
        every = job.every(job.experiment.eval_every)
        if step == self.evaluated or not due(step, every, job.total_steps):
            return state, False
        self.recorder.flush()
        epoch = job.task.summarize(state.epoch)
        scalars = {f'train/{key}_epoch': value for key, value in epoch.items()}
        if 'eval' in job.datasets:
            values = evaluate(job, 'eval', *state.weights, self.stop)
            if values is None:
                return state, False
            scalars |= values
        self.recorder.evaluated(step, state, scalars)
        self.evaluated = step
        improved = self.tracker.update(step, scalars.get(self.tracker.metric))
        state = dataclasses.replace(state, epoch=job.fresh_metrics(train=True))
        return self.scaled(state, step, scalars), improved

    def scaled(self, state: TrainState, step: int, scalars: dict) -> TrainState:
        """The state with the learning rate that a plateau makes of an evaluation."""
        if self.plateau is None:
            return state
        scale = self.recorder.scale = self.plateau.update(step, scalars)
        everywhere = parallel.replicated(self.job.mesh)
        scale = jax.device_put(np.float32(scale), everywhere)
        return dataclasses.replace(state, rate_scale=scale)

    def save(self, state: TrainState, step: int, watch) -> None:
        """Saves the state with all that a resumed run needs beside it."""
        self.recorder.flush()
        if watch is not None:
            self.recorder.check(step, watch)
        position = {'evaluated': self.evaluated, 'tracker': self.tracker.state()}
        if self.plateau is not None:
            position['plateau'] = self.plateau.state()
        keep = {self.tracker.best_step, *self.kept_for_ever(step)} - {None}
        self.store.save(step, state, self.manifest | position, keep)
        self.saved = step

    def kept_for_ever(self, step: int) -> list[int]:
        """The steps up to this one that `Checkpoints.every` keeps."""
        every = self.job.experiment.checkpoints.every
        if every is None:
            return []
        every = self.job.every(every)
        return list(range(every, step + 1, every))

    def finish(self, state: TrainState, step: int, watch) -> TrainState:
        """Saves the last step, and waits until it is on disk."""
        if step > self.saved:
            self.save(state, step, watch)
        self.store.wait()
        if self.stop:
            done = f'saved at step {step:,}' if step else 'before the first step'
            raise Interrupted(f'{self.stop.name}, {done}; the same command goes on')
        return state


def due(step: int, every: int, last: int) -> bool:
    """True at every `every`th step and at the last."""
    return step > 0 and (step % every == 0 or step == last)
