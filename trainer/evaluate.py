"""Scores a model on a data set: every example exactly once, padding masked.

The numbers are the same for any batch size and any number of devices, but for rounding
in float32: of what the model gives, and within a batch's sum of losses (about 1e-7).
"""

import contextlib
import functools
import pathlib
from collections import deque
from collections.abc import Callable, Iterable

import jax

from trainer import (
    feeding,
    pretrained,
    processes,
    record,
    resume,
    roll_call,
    rundir,
    watchdog,
    which_run,
)
from trainer.checkpoints import CheckpointStore
from trainer.collected import Collector
from trainer.console import say
from trainer.errors import Interrupted, UserError
from trainer.experiment import Experiment, load
from trainer.guard import guarded
from trainer.job import Job
from trainer.network import Arrays
from trainer.remedies import advised, of_scoring
from trainer.results import part_names, score_table
from trainer.signals import Stop, stop_on_signals

LEAVING = 'leaving after this batch'
PREFIX = {'eval': 'val'}  # of scores, where it is not the role itself


def prefix_of(role: str) -> str:
    """What the scores of a role begin with: 'val' of 'eval', else its own name."""
    return PREFIX.get(role, role)


def role_of(metric: str) -> str:
    """The role that a logged name such as 'val/loss' is a score of."""
    prefix = metric.partition('/')[0]
    return next((role for role, name in PREFIX.items() if name == prefix), prefix)


def evaluate(
    job: Job,
    split: str,
    params: Arrays,
    model_state: Arrays,
    stop=False,
    found: dict[str, Callable[[], dict]] | None = None,
) -> dict[str, float | None] | None:
    """Metrics such as {'val/loss': 0.1, 'val/acc_class_3': None}; None is "no data".

    Args:
      job: the run.
      split: a role such as 'eval' or 'test'; must be open in the job.
      params, model_state: the weights to score.
      stop: true once a signal has asked to stop; polled at every batch.
      found: is given, under what the scores begin with, a function that makes the
        arrays which stand behind them.

    Returns:
      The metrics, or None where `stop` cut the evaluation short.
    """
    watchdog.enter('evaluation')
    with advised(job, functools.partial(of_scoring, role=split)):
        metrics = _counted(job, split, (params, model_state), stop)
        if metrics is None:
            return None
        if found is not None:
            found[prefix_of(split)] = lambda: evidence_of(job, split, metrics)
        summary = job.task.summarize(metrics)
    return {f'{prefix_of(split)}/{key}': value for key, value in summary.items()}


def _counted(job: Job, split: str, weights: tuple, stop):
    """The metrics of all examples; None where `stop` cut it short."""
    step, metrics = job.eval_step(split), job.fresh_metrics(train=False)
    processes.meet()
    in_flight, collector = deque(), Collector()
    for batch in feeding.eval_batches(job.datasets[split], job.mesh):
        watchdog.beat('a batch of evaluation')
        if stop:
            return None
        metrics, _ = step(*weights, metrics, batch)
        metrics = collector.take(metrics)
        in_flight.append(metrics)
        if len(in_flight) > 1:
            jax.block_until_ready(in_flight.popleft())
    return collector.give(metrics)


def evidence_of(job: Job, split: str, metrics) -> dict:
    """The arrays behind the scores of a data set, with the names of its classes."""
    arrays, dataset = job.task.evidence(metrics), job.datasets[split]
    names = dataset.segmentation_names or dataset.class_names or dataset.target_names
    return arrays and {'names': list(names), 'examples': len(dataset), **arrays}


def evaluate_all(
    job: Job, roles: Iterable[str], weights: tuple, stop, found: dict
) -> dict | None:
    """`evaluate` of each of the roles that there is data for; None if cut short."""
    scores = {}
    for role in (role for role in roles if role in job.datasets):
        values = evaluate(job, role, *weights, stop, found)
        if values is None:
            return None
        scores |= values
    return scores


def evaluate_run(
    directory, split: str = 'test', checkpoint: str = 'best', stop: Stop | None = None
) -> dict:
    """Scores a checkpoint of a finished or unfinished run, and writes the scores.

    Args:
      directory: the run's, or its address.
      split: 'train', 'eval' (or 'val', as its scores are called), 'test' or a name in
        the config's `evaluations`.
      checkpoint: 'best', 'last' or a step.
      stop: true once a signal has asked to stop; None handles signals here.

    Returns:
      What `evaluation_<split>.json` holds.

    Raises:
      UserError: no run, split or checkpoint of that name, or a damaged checkpoint.
      Interrupted: a signal came; nothing was written.
    """
    directory, split = which_run.here(directory, checkpoint), role_of(split)
    job = _open_split(directory, split)
    store = CheckpointStore(directory / rundir.CHECKPOINTS)
    step = processes.told(chosen_step(store, checkpoint))
    manifest = store.manifest(step)
    resume.check_class_names(manifest['class_names'], job.datasets['train'].class_names)
    with contextlib.ExitStack() as stack:
        if stop is None:
            stop = stack.enter_context(stop_on_signals(LEAVING))
        advise = functools.partial(of_scoring, role=split)
        stack.enter_context(guarded(job, stop, advise))
        state, _ = store.load(step, job.abstract_state(), scoring=True)
        scores = evaluate(job, split, *state.weights, stop)
    if scores is None:
        raise Interrupted(f'{stop.name}; nothing was written')
    names = part_names(job.datasets['train'])
    say(f'{split}: {len(job.datasets[split]):,} examples, checkpoint of step {step}')
    say(score_table(scores, prefix_of(split), names))
    results = {'checkpoint/step': step, 'examples': len(job.datasets[split]), **scores}
    record.evaluation(directory, split, results)
    return results


def _open_split(directory: pathlib.Path, split: str) -> Job:
    """A run's job with one split, alike in all processes."""
    experiment = experiment_of(directory)
    rundir.check_open(directory)
    _check_split(experiment, split)
    return roll_call.opened(experiment, (split,))


def experiment_of(directory: pathlib.Path) -> Experiment:
    """What a run directory is told, laid out on the devices that are here.

    Raises:
      UserError: it is no run directory, or no gin file says what its net is.
    """
    rundir.config(directory)
    if not (directory / rundir.CONFIG_GIN).exists():
        raise UserError(
            f'{directory} has no {rundir.CONFIG_GIN}: its run was begun in Python with '
            f'parts that no gin file can name. Register them with @gin.register in a '
            f'module of their own, or build its Experiment again (docs/python.md).'
        )
    experiment = load([str(directory / rundir.CONFIG_GIN)])
    experiment = pretrained.expecting(experiment, directory)
    return feeding.for_scoring(experiment)


def chosen_step(store: CheckpointStore, checkpoint: str) -> int:
    """The step that 'best', 'last' or a number means.

    Raises:
      UserError: there is none.
    """
    steps = store.steps()
    if not steps:
        root = store.directories.root
        seeds = sorted(map(str, root.parent.glob('seed_*')))
        todo = (
            f'name one of its seeds, such as {seeds[0]}' if seeds else 'train it first'
        )
        raise UserError(f'{root} has no checkpoint yet; {todo}.')
    if checkpoint == 'last':
        return steps[-1]
    if checkpoint == 'best':
        best = store.manifest(steps[-1])['tracker']['best_step']
        return steps[-1] if best is None else best
    if checkpoint.isdecimal() and int(checkpoint) in steps:
        return int(checkpoint)
    raise UserError(
        f'There is no checkpoint {checkpoint!r} in {store.directories.root}; choose '
        f'best, last or {", ".join(map(str, steps))}.'
    )


def _check_split(experiment, split: str) -> None:
    if split not in experiment.roles:
        raise UserError(
            f'This run has no split {split!r}; choose {", ".join(experiment.roles)} '
            f"(its config's train_data, eval_data, test_data and evaluations)."
        )
