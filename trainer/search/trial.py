"""One trial: values chosen, a run for each seed, and what pruning is told meanwhile."""

import dataclasses
import pathlib
import statistics
from collections.abc import Mapping, Sequence

import optuna

from trainer.console import Console
from trainer.errors import TrainingFailed
from trainer.experiment import Experiment, load
from trainer.search.space import is_range
from trainer.signals import Stop
from trainer.train import train


class Pruned(Exception):
    """A trial that is not worth going on with."""


def suggested(trial: optuna.Trial, space: Mapping[str, Sequence]) -> dict:
    """Values for all of a space; those that the trial has already stay."""
    return {key: _suggest(trial, key, choices) for key, choices in space.items()}


def _suggest(trial: optuna.Trial, key: str, choices: Sequence) -> object:
    if not is_range(choices):
        return trial.suggest_categorical(key, list(choices))
    kind, low, high = choices
    if kind == 'int':
        return trial.suggest_int(key, low, high)
    return trial.suggest_float(key, low, high, log=kind == 'log')


def bindings_of(params: Mapping[str, object]) -> list[str]:
    """Chosen values as gin reads them."""
    return [f'{key} = {value!r}' for key, value in params.items()]


def load_trial(config: str, bindings: Sequence[str]) -> Experiment:
    """The experiment of a trial, whose own config has no search any more."""
    return load([config], [*bindings, 'Experiment.search = None'])


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial in its directory.

    Attributes:
      trial: Optuna's.
      folder: holds a run directory for each seed.
      metric: whose best value counts.
      planned: evaluations of a whole run.
    """

    trial: optuna.Trial
    folder: pathlib.Path
    metric: str
    planned: int

    def train(
        self,
        config: str,
        seeds: Sequence[int],
        argv: tuple[str, ...],
        stop: Stop,
        console: Console,
    ) -> float:
        """The mean over the seeds of the best value, trained now or before.

        Raises:
          Pruned: the first seed is not worth going on with.
          UserError, TrainingFailed, Interrupted: as training itself.
        """
        values = []
        for seed in seeds:
            bindings = bindings_of(self.trial.params)
            bindings += [f'Experiment.seed = {seed}', 'Experiment.seeds = ()']
            experiment = load_trial(config, bindings)
            if seed == seeds[0]:
                hooks = (*experiment.hooks, self.report)
                experiment = dataclasses.replace(experiment, hooks=hooks)
            place = self.folder / f'seed_{seed}'
            results = train(experiment, place, argv=argv, stop=stop, console=console)
            if results.get(self.metric) is None:
                raise TrainingFailed(f'the run has no finite {self.metric}')
            values.append(results[self.metric])
        return statistics.fmean(values)

    def report(self, step: int, state, metrics: Mapping[str, float]) -> None:
        """A hook: tells the pruner of an evaluation, once each, and asks it.

        Raises:
          Pruned: it says so.
        """
        value = metrics.get(self.metric)
        if value is None:
            return
        steps = self.trial.user_attrs.get('steps', [])
        if step not in steps:  # else told before the run was killed
            steps = [*steps, step]
            self.trial.report(value, len(steps))
            self.trial.set_user_attr('steps', steps)
        if len(steps) < self.planned and self.trial.should_prune():
            raise Pruned(f'{self.metric} {value:.4f} at step {step}')
