"""The loop: from a state and batches to a trained model, saved and scored.

Names no model, no task and no data set. The order of events at a step, on which exact
resumption rests: step, log, evaluate, save. What is written for a step is written
before that step is saved.
"""

import contextlib
import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from trainer import overview, processes, sharding, watchdog
from trainer.advisor import Advisor
from trainer.divergence import check_weights
from trainer.evaluate import evaluate_all, role_of
from trainer.job import Job, due
from trainer.plateau import PlateauTracker
from trainer.profiler import Tracer
from trainer.recorder import Recorder
from trainer.saver import Saver
from trainer.selection import Tracker
from trainer.signals import Stop
from trainer.state import TrainState
from trainer.stopwatch import Stopwatch

IN_FLIGHT = 2  # more would hide the step that failed, and can deadlock on CPU devices


@dataclasses.dataclass
class Loop:
    """One training run under way.

    Attributes:
      job: what it works with.
      saver: saves checkpoints.
      tracker: the best evaluation so far, and whether to stop early.
      manifest: what each checkpoint says about the run.
      stop: true once a signal has asked to stop.
      plateau: lowers the learning rate by what evaluations say, or None.
      train_step: compiled.
      train_steps: several in one dispatch, compiled, where the job has such.
      recorder: where metrics go.
      evaluated, saved: the last steps at which these were done.
      skipped: the batches that are left out.
    """

    job: Job
    saver: Saver
    tracker: Tracker
    manifest: dict
    stop: Stop
    plateau: PlateauTracker | None = None
    train_step: Callable | None = None
    train_steps: Callable | None = None
    recorder: Recorder | None = None
    evaluated: int = 0
    saved: int = 0
    skipped: tuple[int, ...] = ()

    def run(self, state: TrainState) -> TrainState:
        """Trains from the state's step to the end of the run, and begins its last save.

        Raises:
          Interrupted: a signal came; the last save has begun.
          Diverged: the loss or a gradient was not finite.
          TrainingFailed: the weights were not, or nothing could be saved.
        """
        job, experiment = self.job, self.job.experiment
        step = start = int(state.step)
        save_every = job.every(experiment.save_every)
        state, _ = self.evaluate_if_due(state, step)  # one that a signal cut short
        watch, in_flight = None, deque()
        ideal = overview.ideal_seconds(job, self.train_step)
        clock = Stopwatch(self.recorder.chronicle.phases, ideal)
        advisor = Advisor(job.datasets['train'])
        batches = job.train_batches(step, self.skipped)
        tracer = Tracer(experiment.profile, self.recorder.chronicle.directory)
        with contextlib.closing(batches), contextlib.closing(clock), tracer:
            while not self.ends(step):
                batch, count = clock.next(batches)
                if len(in_flight) == IN_FLIGHT:
                    in_flight.popleft().block_until_ready()
                logged = due(step + count, experiment.log_every, job.total_steps)
                with tracer.step(step + 1, count):
                    state, watch = self.take(state, batch, count, logged)
                tracer.sent(step + count, watch)
                clock.sent(watch['bad_step'], count)
                if step == start:
                    self.recorder.first_step(watch)
                    clock.restart()
                in_flight.append(watch['bad_step'])
                step += count
                self.recorder.advance(step)
                watchdog.beat('a step')
                processes.at(step)
                if logged:
                    figures = clock.read(experiment.train_data.batch)
                    self.recorder.take(step, state, watch, figures | self.saver.figures)
                    if figures and advisor.consider(figures, experiment.log_every):
                        clock.restart()
                    empty = job.fresh_metrics(train=True)
                    state = dataclasses.replace(state, interval=empty)
                state, improved = self.evaluate_if_due(state, step)
                wanted = improved or due(step, save_every, job.total_steps)
                if wanted or self.saver.overdue(logged):
                    with self.recorder.chronicle.timed('checkpoint'):
                        self.save(state, step, watch)
                if self.evaluated == step or self.saved == step:
                    clock.restart()
        return self.finish(state, step, watch)

    def take(self, state: TrainState, batch: dict, count: int, logged: bool) -> tuple:
        """One dispatch of `count` steps; of one that is logged, how far it moves."""
        if count > 1:
            return self.train_steps(state, batch)
        beside = self.job.programs.update_norm() if logged else None
        if beside is None:
            return self.train_step(state, batch)
        kept = beside.result().keep(state.params)
        state, watch = self.train_step(state, batch)
        norm = beside.result().since(kept, state.params)
        return state, {**watch, 'update_norm': norm}

    def ends(self, step: int) -> bool:
        """Whether no further step is to be taken."""
        last = step >= self.job.total_steps
        return last or bool(self.stop) or self.tracker.should_stop

    def evaluate_if_due(self, state: TrainState, step: int) -> tuple[TrainState, bool]:
        """Scores the data sets for which the step asks, once.

        Returns:
          The state with the epoch's metrics begun anew, and whether it is the best.
        """
        job, roles = self.job, self.job.evaluated_at(step)
        if step == self.evaluated or not roles:
            return state, False
        self.recorder.flush()
        found = {}
        with self.recorder.chronicle.timed('evaluation'):
            scalars = self.scores(state, roles, found)
        if scalars is None:
            return state, False
        self.recorder.evaluated(step, state, scalars)
        self.evaluated = step
        metric = self.tracker.metric
        judged = role_of(metric) in roles
        improved = judged and self.tracker.update(step, scalars.get(metric))
        self.recorder.chronicle.evaluated(step, found if improved else {})
        if 'eval' in roles:
            state = dataclasses.replace(state, epoch=job.fresh_metrics(train=True))
        return self.scaled(state, step, scalars, roles), improved

    def scores(
        self, state: TrainState, roles: Sequence[str], found: dict
    ) -> dict | None:
        """What is logged of the roles; None where a signal cut it short.

        `found` is given what stands behind it, see `evaluate`.
        """
        scores = evaluate_all(self.job, roles, state.weights, self.stop, found)
        if scores is None or 'eval' not in roles:
            return scores
        epoch = self.job.task.summarize(state.epoch)
        return {f'train/{key}_epoch': value for key, value in epoch.items()} | scores

    def scaled(
        self, state: TrainState, step: int, scalars: dict, roles: Sequence[str]
    ) -> TrainState:
        """The state with the learning rate that a plateau makes of an evaluation."""
        if self.plateau is None or role_of(self.plateau.plateau.metric) not in roles:
            return state
        scale = np.float32(self.plateau.update(step, scalars))
        scale = sharding.spread(scale, self.job.mesh)
        return dataclasses.replace(state, rate_scale=scale)

    def save(self, state: TrainState, step: int, watch) -> None:
        """Saves the state with all that a resumed run needs beside it.

        Raises:
          Diverged: a step was not finite.
          TrainingFailed: the weights are not, told at the next save where this one goes
            on without the loop; or three saves in a row failed.
        """
        watchdog.enter('saving')
        self.recorder.settle()
        if watch is not None:
            self.recorder.check(step, watch)
        kept = self.kept_for_ever(step)
        position = {
            'evaluated': self.evaluated,
            'kept': kept,
            'skipped': list(self.skipped),
            'tracker': self.tracker.state(),
        }
        if self.plateau is not None:
            position['plateau'] = self.plateau.state()
        keep = {self.tracker.best_step, *kept} - {None}
        check = functools.partial(check_weights, step=step)
        self.saver.save(step, state, self.manifest | position, keep, check)
        self.saved = step

    def kept_for_ever(self, step: int) -> list[int]:
        """The steps up to this one that `Checkpoints.every` keeps."""
        every = self.job.experiment.checkpoints.every
        if every is None:
            return []
        every = self.job.every(every)
        return list(range(every, step + 1, every))

    def finish(self, state: TrainState, step: int, watch) -> TrainState:
        """Begins to save the last step; what comes next need not wait for the disk."""
        if step > self.saved:
            with self.recorder.chronicle.timed('checkpoint'):
                self.save(state, step, watch)
        self.stop.leave(step)
        return state
