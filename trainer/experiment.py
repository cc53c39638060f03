"""Experiment, the one thing that a config builds, and `load`, which reads one.

Knows which rooms a run has; not how they work. Nothing after `load` sees gin.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import gin
import optax
from annotated_types import Ge, Gt, Interval
from flax import nnx

from trainer.data.images import Images
from trainer.descent import Average, checked
from trainer.description import describe
from trainer.divergence import Divergence
from trainer.errors import UserError
from trainer.evaluations import Evaluation, check_names
from trainer.lint import report
from trainer.lint.run_name import refused
from trainer.optimizers import adamw
from trainer.parallel import Parallel
from trainer.profiler import Profile
from trainer.resolution import Resolved, refusal, resolve, spoken_by
from trainer.saver import Checkpoints
from trainer.schedules import warmup_cosine
from trainer.search.space import Search
from trainer.selection import Best
from trainer.source import Source, read_from
from trainer.tasks import Task
from trainer.trackers.tensorboard import TensorBoardWriter
from trainer.watchdog import Watchdog

__all__ = ['Experiment', 'Source', 'describe', 'load']


@gin.configurable(denylist=['source'])
@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run is told: what is trained, on what, how, and for how long.

    What will hold arrays or needs a fact of the run is a callable (a reference in gin:
    `model = @Net`); what only describes is an object (`task = @Classification()`).

    Attributes:
      name: says what is trained; drives run directory, run name and tags.
      model: makes the net, given `rngs`, and `input_shape` and `num_outputs` where it
        takes them; any NNX module's class will do.
      task: losses and metrics.
      train_data: what is trained on.
      eval_data: what is evaluated after every `eval_every` epochs.
      test_data: what the best checkpoint is scored on, once, at the end.
      evaluations: further sets that are scored while it trains, by name; their scores
        are logged as '<name>/...'.
      epochs: how long to train.
      seed: of weights, order, augmentation and dropout.
      optimizer: called with the schedule.
      schedule: called with total_steps and steps_per_epoch.
      best: which evaluation is the best, and when to stop early.
      checkpoints: how many are kept, and how often one is made.
      watchdog: how long a run may be silent before it is taken for hung.
      divergence: what to do when the loss is not finite.
      freeze: regular expressions of parameters that stay as they are; a BatchNorm of
        which all do trains with its running statistics, which stay too.
      rates: multipliers of the learning rate, by regular expression.
      layer_decay: what the learning rate is multiplied with from each block to the
        one before it, head and decoder having it whole; None is the same rate
        everywhere.
      accumulate: parts that a batch is worked through in, where a GPU's or TPU's memory
        is short; on a CPU they take as much as the whole.
      average: keeps a moving average of the weights, which is what is evaluated.
      parallel: how state and batch are cut over the devices.
      seeds: trains once with each of these, in a sub-directory each.
      search: what `python main.py search` tries; training does not look at it.
      pictures: how many of the best, the worst and random examples are drawn into the
        run directory at the end.
      hooks: called with (step, state, metrics) at every line that is logged.
      writers: where metrics go beside metrics.jsonl, which every run has.
      profile: which steps are traced for TensorBoard and Perfetto, if any.
      log_every: in steps.
      eval_every, save_every: in epochs.
      source: what `load` has read; None for an experiment built in Python.

    Raises:
      UserError: a name that is empty, says nothing or cannot name a directory; an
        expression that is none; a seed that is there twice.
    """

    name: str
    model: Callable[..., nnx.Module]
    task: Task
    train_data: Images
    eval_data: Images | None = None
    test_data: Images | None = None
    evaluations: Mapping[str, Evaluation] = dataclasses.field(default_factory=dict)
    epochs: Annotated[float, Gt(0)]
    seed: Annotated[int, Ge(0)] = 0
    optimizer: Callable[..., optax.GradientTransformation] = adamw
    schedule: Callable[..., optax.Schedule] = warmup_cosine
    best: Best = dataclasses.field(default_factory=Best)
    checkpoints: Checkpoints = dataclasses.field(default_factory=Checkpoints)
    divergence: Divergence = dataclasses.field(default_factory=Divergence)
    watchdog: Watchdog = dataclasses.field(default_factory=Watchdog)
    freeze: Sequence[str] = ()
    rates: Mapping[str, Annotated[float, Ge(0)]] = dataclasses.field(
        default_factory=dict
    )
    layer_decay: Annotated[float, Interval(gt=0, le=1)] | None = None
    accumulate: Annotated[int, Ge(1)] = 1
    average: Average | None = None
    parallel: Parallel = dataclasses.field(default_factory=Parallel)
    seeds: Sequence[Annotated[int, Ge(0)]] = ()
    search: Search | None = None
    pictures: Annotated[int, Ge(0)] = 4
    hooks: Sequence[Callable] = ()
    writers: Sequence[Callable] = (TensorBoardWriter,)
    profile: Profile | None = None
    log_every: Annotated[int, Ge(1)] = 10
    eval_every: Annotated[float, Gt(0)] = 1
    save_every: Annotated[float, Gt(0)] = 1
    source: Source | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def roles(self) -> dict[str, Images]:
        """Every data set that the run has, by what it is for."""
        images = {
            'train': self.train_data,
            'eval': self.eval_data,
            'test': self.test_data,
            **{name: further.data for name, further in self.evaluations.items()},
        }
        return {role: data for role, data in images.items() if data is not None}

    def __post_init__(self):
        message = refused(self.name)
        if message:
            raise UserError(f'Experiment.name = {self.name!r} {message}')
        check_names(self.evaluations)
        checked(self.freeze)
        checked(self.rates, 'Experiment.rates')
        twice = [seed for seed in self.seeds if list(self.seeds).count(seed) > 1]
        if twice:
            raise UserError(
                f'Experiment.seeds = {tuple(self.seeds)} has {twice[0]} twice; each '
                f'seed is one run.'
            )


def load(files: str | Sequence[str], bindings: str | Sequence[str] = ()) -> Experiment:
    """Reads gin files and bindings into an Experiment of ordinary Python.

    References have become `functools.partial`s that hold their bindings, evaluated ones
    are objects, and gin's config is empty, so that two experiments never touch. What
    modules have registered with gin stays, constants too: it is theirs, not a config's.

    Args:
      files: paths, seen from here or from the repository; later ones win. One alone
        may stand without a list.
      bindings: such as 'EPOCHS = 5'; they win over files, later ones over earlier.

    Raises:
      UserError: with every mistake in the config, one a line.
    """
    files, bindings = map(_several, (files, bindings))
    examination = report.examine(files, bindings)
    if examination.errors:
        raise UserError('\n'.join(map(str, examination.errors)))
    try:
        resolved = resolve(examination.config)
        experiment = _built(resolved)
        source = read_from(examination, resolved.origins, describe(experiment))
        return dataclasses.replace(experiment, source=source)
    except UserError:
        raise
    except Exception as error:
        raise refusal(error, {}, examination.place) from error
    finally:
        gin.clear_config()


def _several(given: str | os.PathLike | Sequence[str]) -> list[str]:
    one = isinstance(given, str | os.PathLike)
    return [os.fspath(given)] if one else list(map(os.fspath, given))


def _built(resolved: Resolved) -> Experiment:
    """The experiment; what it refuses is told with the place where that was written."""
    try:
        return Experiment(**resolved.arguments)
    except UserError as error:
        said = spoken_by(error)
        name = said.partition(' ')[0].removeprefix('Experiment.')
        place = resolved.origins.get(name)
        raise UserError(f'{place}: {said}' if place else said) from error
