"""Metrics that a config waits for and that no evaluation of its run gives.

Knows what a task measures of data that is made up. Classes that data has may be many,
so any number will do in 'val/acc_class_3'; what tasks and metrics of one's own measure
is left to the run.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainer.data.facts import RememberedData
from trainer.errors import UserError
from trainer.lint.config import Config
from trainer.lint.finding import Finding
from trainer.lint.nearest import hint
from trainer.lint.values import filled
from trainer.metrics import score_names
from trainer.tasks import Task
from trainer.tasks.extended import Extended

if TYPE_CHECKING:
    from trainer.experiment import Experiment
    from trainer.lint.report import Examination

PARAMETERS = (
    ('trainer.selection.Best', 'metric'),
    ('trainer.plateau.plateau', 'metric'),
)
OURS = 'trainer.tasks.'
TWO = ('0', '1')
MADE_UP = RememberedData(
    {
        'image_shape': (64, 64, 3),
        'class_names': TWO,
        'segmentation_names': TWO,
        'keypoint_names': TWO,
        'flip_pairs': (),
        'target_names': TWO,
        'target_statistics': ((0.0, 0.0), (1.0, 1.0)),
        'num_examples': 2,
    }
)


def unknown(examination: 'Examination', experiment: 'Experiment') -> Iterator[Finding]:
    """A finding for each metric that would never come.

    Args:
      examination: of the config; says what is bound, where, and whether it is used.
      experiment: what the config builds.
    """
    config = examination.config
    for binding in config:
        wanted = Config.key(binding)[1:] in PARAMETERS
        if not wanted or binding not in examination.used:
            continue
        metric, source = filled(binding.value, config), config.source(binding)
        wrong = isinstance(metric, str) and _wrong(metric, experiment)
        if wrong:
            reader = '' if source is binding else f' (read by {binding})'
            yield Finding(source.place, f'{source} = {metric!r}{reader} {wrong}')


def _wrong(metric: str, experiment: 'Experiment') -> str:
    """What is wrong with a metric; '' where nothing is, or nobody can say."""
    role, _, name = metric.rpartition('/')
    roles, known = ['val', *experiment.evaluations], _names(experiment.task)
    fits = not known or name in known or re.sub(r'_\d+$', '_0', name) in known
    if role in roles and fits:
        return ''
    # Of a name for each class the first will do.
    offered = [n for n in known if not (n.endswith('_1') and f'{n[:-1]}0' in known)]
    names = [name] if fits else offered
    if role in roles:
        advice = hint(name, names, f'{role}/')
    else:
        advice = hint(metric, [f'{one}/{n}' for one in roles for n in names])
    return f'is no score of an evaluation in training{advice}'


def _names(task: Task) -> list[str]:
    """What an evaluation measures; [] where only the run can say."""
    if isinstance(task, Extended) and task.scores:
        return []
    parts = (task, task.task) if isinstance(task, Extended) else (task,)
    if not all(type(part).__module__.startswith(OURS) for part in parts):
        return []
    try:
        return score_names(task.prepare(MADE_UP).metrics(train=False))
    except UserError:  # numbers for each of its classes, which this data has not
        return []
