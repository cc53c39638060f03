"""One run in its directory: begin or go on, train to the end, score, record.

Opening the directory and its lock is `train.py`; the loop itself is `loop.py`.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator

from trainer import (
    divergence,
    overview,
    parallel,
    pretrained,
    processes,
    record,
    resume,
    rundir,
    watchdog,
)
from trainer.checkpoints import CheckpointStore
from trainer.chronicle import Chronicle
from trainer.console import Console, log
from trainer.data.facts import facts_of
from trainer.divergence import Diverged
from trainer.errors import Interrupted
from trainer.evaluate import evaluate_all
from trainer.experiment import describe
from trainer.gallery import as_images, write_gallery
from trainer.job import Job
from trainer.loop import Loop
from trainer.recorder import Recorder
from trainer.results import headline
from trainer.saver import Saver
from trainer.signals import Stop
from trainer.state import TrainState
from trainer.trackers import Trackers
from trainer.trackers.sample import weights_sample
from trainer.verdicts import make_plateau, make_tracker


@dataclasses.dataclass
class Run:
    """A job in its directory."""

    job: Job
    directory: pathlib.Path
    argv: tuple[str, ...]
    stop: Stop
    console: Console
    chronicle: Chronicle
    trackers: Trackers

    def __post_init__(self):
        keep = self.job.experiment.checkpoints.keep
        self.config = describe(self.job.experiment)
        self.store = CheckpointStore(self.directory / rundir.CHECKPOINTS, keep)
        self.data = {role: d.fingerprint for role, d in self.job.datasets.items()}

    def finished(self) -> dict | None:
        """The results of a run that has nothing left to do, said aloud."""
        results = processes.told(rundir.results(self.directory))
        if not results or results['total_steps'] < self.job.total_steps:
            return None
        self.console.say(
            f'{self.directory} is finished (step {results["step"]}); set more epochs '
            f'to go on with it, or give another --workdir.'
        )
        return results

    def go(self) -> dict:
        """Trains to the end and scores the best checkpoint."""
        job = self.job
        overview.tell_data(job, self.console)
        with self.console.phases('init'):
            state, loop = self.resumed() or self.begun()
        self.stop.leave(int(state.step))
        with self.console.phases('trace'):
            job.wait_for_trace()
        if not loop.ends(int(state.step)):
            job.read_ahead()
        record.start(self.directory, job, self.config, self.argv, self.data)
        self.console.say(overview.parameter_table(job))
        log.info('%s', overview.in_full(job, self.config))
        with self.console.phases('compile'):
            one, several = job.compile_train_step(), job.compile_train_steps()
            processes.meet()
        known, place = overview.facts(job, one), self.directory
        self.console.say(f'{overview.describe_cost(known)}; run directory {place}')
        if processes.is_main() and (idle := parallel.idle(job.experiment.parallel)):
            self.console.warn(idle)
        self.chronicle.begin(int(state.step), known)
        while True:
            loop.train_step, loop.train_steps = one, several
            try:
                return self.train(state, loop)
            except Diverged as diverged:
                state, loop = self.rolled_back(loop, diverged)

    def train(self, state: TrainState, loop: Loop) -> dict:
        """Trains from a state to the end, scores the best checkpoint, and records it.

        Raises:
          Diverged: the loss or a gradient was not finite.
        """
        job, step = self.job, int(state.step)
        tracked = self.trackers.opened(job.experiment.name, self.config, step)
        bar = self.console.bar(job.total_steps, step, job.steps_per_epoch)
        with tracked as writer, bar, self.saving(loop):
            loop.recorder = Recorder(job, writer, bar, self.chronicle)
            state = loop.run(state)
            last = int(state.step)
            if loop.tracker.should_stop:
                self.console.say(loop.tracker.why_stopped())
            best = self.best(loop, last)
            chosen = self.chosen(best, state)
            scores = self.scores(chosen, ['test'])
            if scores:
                writer.write_scalars(last, scores)
            if chosen is not state:  # else all were scored at this step
                scores |= self.scores(chosen, job.experiment.evaluations)
            with self.chronicle.timed('pictures'):
                shown = write_gallery(job, *chosen.weights, self.directory, self.stop)
            writer.write_images(last, as_images(shown))
            writer.write_histograms(last, weights_sample(chosen))
        results = record.write_results(self.directory, job, last, best, scores)
        self.console.say(f'{self.directory}: {headline(results)}')
        return results

    @contextlib.contextmanager
    def saving(self, loop: Loop) -> Iterator[None]:
        """Saves of the loop may be under way inside; behind it the last has ended.

        Raises:
          SaveFailed: it is not on the disk, though the run came so far.
        """
        ended = loop.saver.close  # of a run that failed, that is what is told
        try:
            yield
            ended = loop.saver.finish
        except Interrupted:
            ended = loop.saver.finish
            raise
        finally:
            record.left_out(self.directory, self.job)
            watchdog.enter('saving')
            with self.chronicle.timed('checkpoint'):
                ended()

    def rolled_back(self, loop: Loop, diverged: Diverged) -> tuple[TrainState, Loop]:
        """The last checkpoint's state, to go on from without the batch that broke it.

        Raises:
          TrainingFailed: the run is to stop.
        """
        skipped = divergence.left_out(self.directory, self.job, loop.skipped, diverged)
        watchdog.enter('restoring')
        self.store.wait()
        self.console.warn(f'{diverged}; batch {skipped[-1]} is left out from here on.')
        state, loop = self.resumed() or self.begun()
        loop.skipped = skipped
        return state, loop

    def begun(self) -> tuple[TrainState, Loop]:
        """The state before the first step."""
        if self.store.steps():
            raise AssertionError('restore returns a state where there are checkpoints')
        state = self.job.init_state()  # compiled alone: see `Programs`
        self.job.compile_ahead()
        record.begin_anew(self.directory, self.job)
        loaded = self.job.pretrained
        if loaded is not None:
            data = self.job.experiment.eval_data or self.job.experiment.train_data
            self.console.say('\n'.join(pretrained.told(loaded, data.host_transforms)))
        return state, self.loop()

    def resumed(self) -> tuple[TrainState, Loop] | None:
        """The newest verified state, if this directory has one of this experiment."""
        restored = self.store.restore(self.job.abstract_state(), check=self.check)
        if restored is None:
            return None
        state, manifest = restored
        step = manifest['step']
        record.go_on(self.directory, step)
        self.console.say(f'going on from step {step:,} of {self.job.total_steps:,}')
        if manifest['config']['epochs'] != self.config['epochs']:
            self.console.say(
                f'epochs were {manifest["config"]["epochs"]}, are '
                f'{self.config["epochs"]}: the schedule is computed anew'
            )
        loop = self.loop()
        loop.evaluated, loop.saved = manifest['evaluated'], step
        loop.skipped = tuple(manifest.get('skipped', ()))
        loop.tracker = make_tracker(self.job, manifest['tracker'])
        loop.plateau = make_plateau(self.job, manifest.get('plateau'))
        return state, loop

    def check(self, manifest: dict) -> None:
        """Raises UserError unless the manifest is of this experiment and data."""
        resume.check_config(manifest['config'], self.config)
        names = self.job.datasets['train'].class_names
        resume.check_class_names(manifest['class_names'], names)
        resume.check_data(manifest['data'], self.data)
        self.job.compile_ahead()  # while the state is read

    def loop(self) -> Loop:
        """The loop, at its very beginning."""
        manifest = {
            'config': self.config,
            'data': self.data,
            'class_names': list(self.job.datasets['train'].class_names),
            'train_data': facts_of(self.job.datasets['train']),
            'total_steps': self.job.total_steps,
            'seed': self.job.experiment.seed,
            'devices': overview.describe_devices(),
        }
        seconds = self.job.experiment.checkpoints.seconds
        saver = Saver(self.store, seconds, self.directory)
        tracker, plateau = make_tracker(self.job), make_plateau(self.job)
        return Loop(self.job, saver, tracker, manifest, self.stop, plateau)

    def best(self, loop: Loop, last: int) -> int:
        """The step of the best evaluation; the last one if the best was not saved."""
        best = loop.tracker.best_step or last
        if best == last or best in processes.told(self.store.steps()):
            return best
        self.console.warn(f'step {best} was the best, but could not be saved.')
        return last

    def chosen(self, best: int, state: TrainState) -> TrainState:
        """The state at the best step, to be scored; the last one is given."""
        if best == int(state.step):
            return state
        return self.store.load(best, self.job.abstract_state(), scoring=True)[0]

    def scores(self, state: TrainState, roles: Iterable[str]) -> dict:
        """Scores of a state on the data sets that there are of those.

        Raises:
          Interrupted: a signal came; the same command scores again.
        """
        found = {}
        with self.chronicle.timed('evaluation'):
            scores = evaluate_all(self.job, roles, state.weights, self.stop, found)
        if scores is None:
            raise Interrupted(f'{self.stop.name} while scoring the best checkpoint')
        self.chronicle.evaluated(int(state.step), found)
        return scores
