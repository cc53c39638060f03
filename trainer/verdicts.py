"""What evaluations decide: which one is the best, and when the learning rate falls."""

import difflib

from trainer.errors import UserError
from trainer.evaluate import prefix_of
from trainer.job import Job
from trainer.plateau import Plateau, PlateauTracker
from trainer.selection import Tracker


def make_tracker(job: Job, seen: dict | None = None) -> Tracker:
    """Keeps the best evaluation: by the config's metric, else by the task's.

    Args:
      job: the run.
      seen: what the tracker of an earlier start had seen.

    Raises:
      UserError: the config names a metric that no evaluation has.
    """
    best = job.experiment.best
    name, mode = job.task.best
    if best.metric is not None:
        _check_metric(job, 'Best.metric', best.metric)
    metric = best.metric or f'val/{name}'
    mode = best.mode or (mode if metric == f'val/{name}' else _mode_of(metric))
    tracker = Tracker(metric, mode, best.patience)
    if seen and (seen['metric'], seen['mode']) == (metric, mode):
        tracker = Tracker.from_state(seen, best.patience)
    return tracker


def make_plateau(job: Job, seen: dict | None = None) -> PlateauTracker | None:
    """Lowers the learning rate where the schedule is a plateau; arguments as above."""
    if not isinstance(job.recipe.schedule, Plateau):
        return None
    _check_metric(job, 'plateau.metric', job.recipe.schedule.metric)
    return PlateauTracker(job.recipe.schedule, seen)


def _check_metric(job: Job, key: str, metric: str) -> None:
    """Raises UserError where no evaluation gives a metric of that name."""
    known = job.task.summarize(job.no_examples[False])
    roles = job.experiment.roles.keys() - {'train', 'test'} | {'eval'}
    metrics = [f'{prefix_of(role)}/{name}' for role in sorted(roles) for name in known]
    if metric not in metrics:
        near = difflib.get_close_matches(metric, metrics, 1) or metrics
        raise UserError(
            f'{key} is {metric!r}, which no evaluation gives; did you mean {near[0]!r}?'
        )


def _mode_of(metric: str) -> str:
    return 'min' if metric.endswith('loss') else 'max'
