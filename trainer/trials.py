"""Short trials of a config: two steps of everything, and one batch learnt by heart."""

import contextlib
import dataclasses
import itertools
import pathlib
import tempfile
from collections.abc import Iterator

import jax
import numpy as np

from trainer import feeding, files, processes, roll_call, steps, watchdog
from trainer.console import Console
from trainer.data import Dataset
from trainer.errors import Interrupted, TrainingFailed
from trainer.experiment import Experiment
from trainer.guard import guarded
from trainer.job import Job, make_recipe
from trainer.lock import check_writable
from trainer.signals import Stop
from trainer.state import TrainState
from trainer.train import train_job

FAST_STEPS = 2
OVERFIT_STEPS = 300


def fast(
    experiment: Experiment,
    *,
    stop: Stop,
    console: Console,
    workdir: str | pathlib.Path | None = None,
) -> dict:
    """Trains two steps, evaluates two batches, saves, restores, scores; keeps nothing.

    Args:
      experiment: as `load` gives it.
      stop, console: as in `trainer.train.train`.
      workdir: of the run to come. Where there are several processes, what they save is
        for a moment beside it; else in the machine's place for such.

    Returns:
      What results.json would hold.

    Raises:
      UserError, TrainingFailed, Interrupted: as training itself would.
    """
    with console.phases('data'):
        job = roll_call.opened(dataclasses.replace(experiment, writers=()))
    excerpts = {role: Excerpt(data, FAST_STEPS) for role, data in job.datasets.items()}
    job = dataclasses.replace(job, datasets=excerpts, total_steps=FAST_STEPS)
    with scratch(workdir) as directory:
        results = train_job(job, directory, stop=stop, console=console)
    console.say(f'{FAST_STEPS} steps of everything went well; nothing was kept')
    return results


@contextlib.contextmanager
def scratch(workdir: str | pathlib.Path | None) -> Iterator[str]:
    """A directory for all processes, where their runs are; gone in the end.

    Raises:
      UserError: it cannot be made.
    """
    made, place = contextlib.nullcontext(), None
    if processes.count() > 1:
        place = files.existing(pathlib.Path(workdir or 'runs').absolute().parent)
    if processes.is_main():
        if place is not None:
            check_writable(place)
        made = tempfile.TemporaryDirectory(
            dir=place, prefix='.fast_', ignore_cleanup_errors=True
        )
    with made as directory:
        yield processes.told(directory)
        processes.meet()  # until all have left it


class Excerpt:
    """A data set of which only the first batches are evaluated."""

    def __init__(self, dataset: Dataset, batches: int):
        self._dataset, self._batches = dataset, batches

    def __getattr__(self, name: str):
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict:
        return self._dataset[index]

    def eval_batches(self, *share):
        """The first of the data set's evaluation batches."""
        return itertools.islice(self._dataset.eval_batches(*share), self._batches)

    def eval_rows(self, *share):
        """The same, as rows of what is held."""
        return itertools.islice(self._dataset.eval_rows(*share), self._batches)


def overfit(
    experiment: Experiment,
    *,
    stop: Stop,
    console: Console,
    most_steps: int = OVERFIT_STEPS,
) -> int:
    """Trains on one batch, without augmentation, until it is learnt.

    Returns:
      The steps that it took.

    Raises:
      TrainingFailed: it was not learnt; says how far the loss has fallen.
      Interrupted: a signal came.
    """
    with console.phases('data'):
        job = one_batch_job(roll_call.opened(experiment, ()))
        given = job.datasets['train'], job.mesh, experiment.seed
        batch, _ = next(feeding.single_batches(*given))
    with guarded(job, stop):
        with console.phases('compile'):
            state, step = job.init_state(), job.compile_train_step()
        processes.meet()
        count, first, now = learn(job, step, state, batch, stop, most_steps)
    console.say(
        f'one batch of {experiment.train_data.batch} is learnt after {count} '
        f'steps: loss {first["loss"]:.4f}, then {now["loss"]:.4f}'
    )
    return count


def learn(job: Job, step, state, batch, stop, most_steps: int) -> tuple:
    """The steps until the batch is learnt, and the first and last step's metrics.

    Raises:
      TrainingFailed, Interrupted: as `overfit`.
    """
    first = None
    for count in range(1, most_steps + 1):
        state, now = one_step(job, step, state, batch)
        watchdog.beat('a step')
        first = first or now
        if processes.told(bool(job.task.learnt(first, now))):
            return count, first, now
        if stop:
            raise Interrupted(f'{stop.name} after {count} steps; nothing was kept')
    raise TrainingFailed(
        f'One batch could not be learnt in {count} steps: its loss was '
        f'{first["loss"]:.4f}, is {now["loss"]:.4f}. Look at the learning rate, at '
        f'what is frozen, at dropout, and at the labels.'
    )


def one_step(job: Job, step, state: TrainState, batch) -> tuple[TrainState, dict]:
    """The state after a step, and that step's metrics by name."""
    state, _ = step(state, batch)
    metrics = job.task.summarize(state.interval)
    empty = job.fresh_metrics(train=True)
    return dataclasses.replace(state, interval=empty), metrics


def one_batch_job(job: Job) -> Job:
    """The job at its highest learning rate, and images as they are, not augmented."""
    peak = float(jax.vmap(job.recipe.schedule)(np.arange(job.total_steps)).max())
    recipe = make_recipe(job.experiment, job.datasets['train'], lambda step: peak)
    plain = steps.make_prepare(job.experiment.train_data)
    return dataclasses.replace(job, recipe=dataclasses.replace(recipe, prepare=plain))
