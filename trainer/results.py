"""What a run has come to: results.json, training_history.json, and a headline."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from trainer import files, rundir, writers
from trainer.console import table

if TYPE_CHECKING:  # reports read results, and need no JAX for it
    from trainer.data import Dataset
    from trainer.job import Job


def write_results(
    directory: pathlib.Path,
    job: 'Job',
    step: int,
    best: int,
    scores: dict,
    left_out: Mapping[str, Sequence[str]],
) -> dict:
    """Writes both files, the results last, as they mark a run as finished.

    Args:
      directory: the run's.
      job: the run.
      step: the last one.
      best: the step of the best evaluation.
      scores: of the test data, {'test/loss': ...}.
      left_out: lines by role, see `write_left_out`.

    Returns:
      The results: 'best/step', 'val/...' as of that step, 'test/...', and 'left_out',
      see `write_left_out`.
    """
    history = writers.history(directory / rundir.METRICS)
    evaluated = [row for row in history if row['step'] == best]
    results = {
        'name': job.experiment.name,
        'seed': job.experiment.seed,
        'step': step,
        'total_steps': job.total_steps,
        'best/step': best,
        **{k: v for row in evaluated for k, v in row.items() if '/' in k},
        **scores,
        'left_out': write_left_out(directory, left_out),
    }
    files.write_json(directory / rundir.HISTORY, history)
    files.write_json(directory / rundir.RESULTS, results)
    return files.plain(results)


def skipped(datasets: Mapping) -> dict[str, list[str]]:
    """What this process has left out of each data set so far."""
    return {role: list(dataset.skipped) for role, dataset in datasets.items()}


def write_left_out(
    directory: pathlib.Path, left_out: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Adds to left_out.json which files and labels were left out; gives all of them.

    A resumed run has not read again what it had read before: it adds to what is there.

    Args:
      directory: the run's.
      left_out: by role, see `skipped`.

    Returns:
      {role: sorted lines}, without the roles of which nothing was left out.
    """
    path = directory / rundir.LEFT_OUT
    known = files.read_json(path) if path.exists() else {}
    lines = {
        role: sorted({*known.get(role, ()), *now}) for role, now in left_out.items()
    }
    found = {role: named for role, named in lines.items() if named}
    if found != known:
        files.write_json(path, found)
    return found


def headline(results: dict) -> str:
    """The results that are no scores of single classes, in one line."""
    numbers = [
        f'{key} {value:.4f}'
        for key, value in results.items()
        if is_score(key) and not is_part(key) and value is not None
    ]
    return ', '.join([f'best step {results["best/step"]}', *numbers])


def is_score(key: str) -> bool:
    """Whether a result is a score of a model: 'val/...', but nothing of training."""
    prefix, slash, _ = key.partition('/')
    return bool(slash) and prefix not in ('train', 'best')


def is_part(key: str) -> bool:
    """Whether a score is that of one class or target alone, as 'acc_class_0' is."""
    return re.search(r'_[a-z]+_\d+$', key) is not None


def part_names(data: 'Dataset') -> dict[str, tuple[str, ...]]:
    """The names of what a score can be the part of, such as of each class."""
    return {
        'class': data.class_names or data.segmentation_names,
        'keypoint': data.keypoint_names,
        'target': data.target_names,
    }


def score_table(scores: dict, prefix: str, names: Mapping[str, Sequence[str]]) -> str:
    """Overall scores, and a row for each class (or target) where there are such.

    Args:
      scores: 'test/loss', 'test/acc_class_0' ...
      prefix: what all of them begin with.
      names: {'class': class_names, ...}, see `part_names`.
    """
    scores = {key.removeprefix(f'{prefix}/'): value for key, value in scores.items()}
    overall = [[key, value] for key, value in scores.items() if not is_part(key)]
    lines = [table(overall, ['score', 'value'])]
    for part, of in names.items():
        marker = f'_{part}_0'
        columns = [key.removesuffix(marker) for key in scores if key.endswith(marker)]
        rows = [
            [name, *(scores.get(f'{column}_{part}_{index}') for column in columns)]
            for index, name in enumerate(of)
        ]
        if columns:
            lines += ['', table(rows, [part, *columns])]
    return '\n'.join(lines)
