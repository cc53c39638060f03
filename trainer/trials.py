"""Short trials of a config: two steps of everything, and one batch learnt by heart."""

import dataclasses
import itertools
import tempfile

import jax
import numpy as np

from trainer import feeding, steps
from trainer.console import Console
from trainer.data import Dataset
from trainer.errors import Interrupted, TrainingFailed
from trainer.experiment import Experiment
from trainer.job import Job, make_recipe, open_job
from trainer.memory import advised
from trainer.signals import Stop
from trainer.state import TrainState
from trainer.train import train_job

FAST_STEPS = 2
OVERFIT_STEPS = 300


def fast(experiment: Experiment, *, stop: Stop, console: Console) -> dict:
    """Trains two steps, evaluates two batches, saves, restores, scores; keeps nothing.

    Returns:
      What results.json would hold.

    Raises:
      UserError, TrainingFailed, Interrupted: as training itself would.
    """
    with console.phases('data'):
        job = open_job(dataclasses.replace(experiment, writers=()))
    excerpts = {role: Excerpt(data, FAST_STEPS) for role, data in job.datasets.items()}
    job = dataclasses.replace(job, datasets=excerpts, total_steps=FAST_STEPS)
    with tempfile.TemporaryDirectory() as directory:
        results = train_job(job, directory, stop=stop, console=console)
    console.say(f'{FAST_STEPS} steps of everything went well; nothing was kept')
    return results


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

    The learning rate is the schedule's highest, from the first step on.

    Returns:
      The steps that it took.

    Raises:
      TrainingFailed: it was not learnt; says how far the loss has fallen.
      Interrupted: a signal came.
    """
    with console.phases('data'):
        job = one_batch_job(open_job(experiment, splits=()))
        data, seed = job.datasets['train'], job.experiment.seed
        batch, _ = next(feeding.single_batches(data, job.mesh, seed))
    with console.phases('compile'), advised(job):
        state, step, first = job.init_state(), job.compile_train_step(), None
    for count in range(1, most_steps + 1):
        state, now = one_step(job, step, state, batch)
        first = first or now
        if job.task.learnt(first, now):
            console.say(
                f'one batch of {experiment.train_data.batch} is learnt after {count} '
                f'steps: loss {first["loss"]:.4f}, then {now["loss"]:.4f}'
            )
            return count
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
    """The job with a constant learning rate and nothing changed at random in images."""
    peak = float(jax.vmap(job.schedule)(np.arange(job.total_steps)).max())
    recipe = make_recipe(job.experiment, job.datasets['train'], lambda step: peak)
    plain = steps.make_prepare(job.experiment.train_data)
    return dataclasses.replace(job, recipe=dataclasses.replace(recipe, prepare=plain))
