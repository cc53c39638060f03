"""A search under way: which trial is next, whose it is, and what has come of all.

The study's file is Optuna's, shared by every process that searches in a directory. A
trial that was left behind is gone on with by whoever finds it.
"""

import contextlib
import fcntl
import os
import pathlib
import traceback
from collections.abc import Iterator

import optuna
from optuna.trial import TrialState

from trainer import files, pretrained
from trainer.console import Console
from trainer.errors import Interrupted, TrainingFailed, UserError
from trainer.experiment import Experiment, describe
from trainer.job import open_job
from trainer.lock import RunLock, holder
from trainer.search.edges import open_ends
from trainer.search.methods import NAME, make_pruner, make_sampler, open_storage
from trainer.search.page import write_page
from trainer.search.place import BEST, check_folder, place_of
from trainer.search.space import check_searchable
from trainer.search.trial import Pruned, Trial, bindings_of, load_trial, suggested
from trainer.signals import Stop
from trainer.verdicts import make_tracker

CONFIG = 'config.gin'
MAY_CHANGE = ('search.trials', 'search.sampler', 'search.pruner', 'search.seed')


def search(
    experiment: Experiment,
    workdir: str | None = None,
    *,
    argv: tuple[str, ...] = (),
    stop: Stop,
    console: Console,
) -> dict:
    """Runs trials until there are as many as the config wants; goes on where it was.

    Args:
      experiment: read from gin, with `search`.
      workdir: of the study; None is `runs/<name>_search`.
      argv, stop, console: as in `trainer.train.train`.

    Returns:
      What search.json holds: 'trials', 'complete', 'pruned', 'failed', 'best/trial',
      'best/value', 'best/params'.

    Raises:
      UserError: no space, or a directory that holds something else.
      TrainingFailed: no trial came to an end.
      Interrupted: a signal came; the same call goes on.
    """
    folder = check_folder(workdir or f'runs/{experiment.name}_search')
    check_searchable(experiment)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = Study(experiment, files.make_folder('workdir', folder))
    try:
        while claimed := study.claim():
            trial, held = claimed
            with held:
                study.run(trial, argv, stop, console)
        return study.conclude(console)
    finally:
        study.show(console)


class Study:
    """The trials of one search, in its directory.

    Raises:
      UserError: the directory holds another search, or a name is unknown.
    """

    def __init__(self, experiment: Experiment, folder: pathlib.Path):
        self.experiment, self.folder = experiment, folder
        self.search = experiment.search
        job = open_job(pretrained.expecting(experiment))
        tracker = make_tracker(job)
        self.metric = tracker.metric
        every = job.every(experiment.eval_every)
        self.planned = -(-job.total_steps // every)
        pruner = make_pruner(self.search, self.planned)
        make_sampler(self.search, 0)
        with self.alone():
            self.study = optuna.create_study(
                storage=open_storage(self.search.storage, folder),
                study_name=NAME,
                direction='maximize' if tracker.mode == 'max' else 'minimize',
                pruner=pruner,
                load_if_exists=True,
            )
            self._check_same()
            files.write_text(folder / CONFIG, experiment.source.config_gin)
            self._tell_page()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the study from any other process for a moment."""
        file = os.open(self.folder / '.claim', os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def claim(self) -> tuple[optuna.Trial, contextlib.ExitStack] | None:
        """A trial of our own: one that was left behind, or a new one; None at the end.

        No two processes get the same: the choice is made alone, and the lock is held.
        """
        with self.alone():
            trials = self.study.get_trials(deepcopy=False)
            running = [t for t in trials if t.state == TrialState.RUNNING]
            left = [t for t in running if holder(self.place(t.number)) is None]
            if left:
                # Optuna has no public way to a trial that is under way.
                trial = optuna.trial.Trial(self.study, left[0]._trial_id)
            elif len(trials) < self.search.trials:
                self.study.sampler = make_sampler(self.search, len(trials))
                trial = self.study.ask()
            else:
                return None
            suggested(trial, self.search.space)
            place = self.place(trial.number)
            place.mkdir(parents=True, exist_ok=True)
            lock = RunLock(place)
            lock.acquire()
            held = contextlib.ExitStack()
            held.callback(lock.release)
            return trial, held

    def place(self, number: int) -> pathlib.Path:
        """The directory of a trial."""
        return place_of(self.folder, number)

    def run(self, trial: optuna.Trial, argv, stop: Stop, console: Console) -> None:
        """Trains a trial and records how it ended: a value, pruned, or a failure.

        Raises:
          Interrupted: a signal came; the trial stays as it is, to be gone on with.
        """
        console.say(
            f'trial {trial.number} ({trial.number + 1} of {self.search.trials})'
        )
        one = Trial(trial, self.place(trial.number), self.metric, self.planned)
        config = str(self.folder / CONFIG)
        try:
            value = one.train(config, self.search.seeds, argv, stop, console)
        except Interrupted:
            raise
        except Pruned as pruned:
            console.say(f'trial {trial.number} is pruned: {pruned}')
            self.study.tell(trial, state=TrialState.PRUNED)
        except Exception as error:
            said = traceback.format_exc()
            trial.set_user_attr('traceback', said)
            files.write_text(one.folder / 'failure.txt', said)
            console.warn(f'trial {trial.number} failed: {error}')
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            console.say(f'trial {trial.number}: {self.metric} {value:.4f}')
            self.study.tell(trial, value)

    def conclude(self, console: Console) -> dict:
        """Writes search.json and best.gin, and says what is best.

        Raises:
          TrainingFailed: no trial came to an end.
        """
        trials = self.study.get_trials(deepcopy=False)
        counts = {
            'trials': len(trials),
            'running': sum(t.state == TrialState.RUNNING for t in trials),
            'complete': sum(t.state == TrialState.COMPLETE for t in trials),
            'pruned': sum(t.state == TrialState.PRUNED for t in trials),
            'failed': sum(t.state == TrialState.FAIL for t in trials),
            'evaluations': sum(len(t.intermediate_values) for t in trials),
        }
        if not counts['complete'] and counts['running']:
            console.say(f'{counts["running"]} trials still run, elsewhere')
            return counts
        if not counts['complete']:
            raise TrainingFailed(
                f'None of {len(trials)} trials came to an end; see failure.txt in '
                f'{self.folder}/trial_*.'
            )
        best = self.study.best_trial
        found = {'best/trial': best.number, 'best/value': best.value}
        found = {**counts, **found, 'best/params': best.params, 'metric': self.metric}
        path = self.folder / BEST
        bindings = [*bindings_of(best.params), f'Experiment.seeds = {self._seeds()}']
        config = load_trial(str(self.folder / CONFIG), bindings)
        files.write_text(path, config.source.config_gin)
        files.write_json(self.folder / 'search.json', found)
        console.say(
            f'best of {len(trials)} trials is {best.number}: {self.metric} '
            f'{best.value:.4f} with {", ".join(bindings_of(best.params))}; train it '
            f'with python main.py --gin_file={path}'
        )
        return found

    def show(self, console: Console) -> None:
        """Writes the page; one that cannot be made is no end of a search."""
        try:
            console.say(f'report: {write_page(self.folder)}')
        except Exception as error:
            console.warn(
                f'The report of {self.folder} could not be made '
                f'({type(error).__name__}: {error}); `python main.py report '
                f'{self.folder}` tries again.'
            )

    def _seeds(self) -> tuple[int, ...]:
        return tuple(self.search.seeds)

    def _tell_page(self) -> None:
        """Keeps in the study what its page needs, once."""
        if 'told' in self.study.user_attrs:
            return
        space = files.plain(dict(self.search.space))
        told = {'space': space, 'metric': self.metric, 'planned': self.planned}
        told['open'] = open_ends(str(self.folder / CONFIG), self.search.space)
        self.study.set_user_attr('told', told)

    def _check_same(self) -> None:
        """Raises UserError where the directory's search is another one."""
        flat = files.plain(describe(self.experiment))
        given = {k: v for k, v in flat.items() if not k.startswith(MAY_CHANGE)}
        saved = self.study.user_attrs.get('config')
        if saved is None:
            self.study.set_user_attr('config', given)
            return
        differ = [k for k in {**saved, **given} if saved.get(k) != given.get(k)]
        if differ:
            raise UserError(
                f'{self.folder} holds another search: {differ[0]} was '
                f'{saved.get(differ[0])!r}, is {given.get(differ[0])!r}. Set it back, '
                f'or give another --workdir.'
            )
