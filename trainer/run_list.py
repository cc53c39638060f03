"""The runs below a directory: how each stands, since when, how far and how good.

Reads what runs have written, and nothing else: no config is parsed, no array loaded,
no JAX imported. Changes nothing, and may be asked while runs are under way.
"""

import collections
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import re
import statistics
import time
from collections.abc import Iterable

from trainer import files, lock, manifest, mirror, provenance, rundir
from trainer.console import table
from trainer.errors import UserError
from trainer.step_directories import StepDirectories

TAIL = 64 * 2**10  # bytes of a log or of metrics that are looked at, from the end
ENDED = 'the run ended here'  # what the log of a run says before the traceback
GENTLE = re.compile(r'^trainer\.errors\.(Interrupted|UserError)\b', re.MULTILINE)
WORST_FIRST = ('running', 'failed', 'crashed')
UNITS = {'d': 86400, 'h': 3600, 'min': 60, 's': 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How one run stands.

    Attributes:
      run: its directory.
      name: Experiment.name.
      status: 'running'; 'finished'; 'interrupted' by a signal or never gone on with;
        'crashed', killed; 'failed', by an error that its log tells; 'empty', nothing
        saved and nothing wrong. Of several seeds, that of all together.
      resumable: whether the same command would go on from a checkpoint.
      started: seconds since the epoch.
      step, total_steps: how far it is; None where that is not known.
      metric, score: the best evaluation so far, by the metric that decides; the mean
        over seeds.
      who: where it is running, as its lock says.
    """

    run: str
    name: str
    status: str
    resumable: bool
    started: float
    step: int | None
    total_steps: int | None
    metric: str | None
    score: float | None
    who: dict | None


def standings(root: str | os.PathLike = 'runs') -> list[Standing]:
    """All runs in and right below a directory, newest first; those of seeds too.

    Raises:
      UserError: there is no such directory.
    """
    root = pathlib.Path(root).expanduser()
    if not root.is_dir():
        raise UserError(f'There is no directory {root}; say `runs DIR` for another.')
    places = [root, *_folders([root])]
    places += _folders(places[1:])
    found = {place: standing(place) for place in places if rundir.is_run(place)}
    seeds = collections.defaultdict(list)
    for place, one in found.items():
        seeds[place.parent].append(one)
    runs = [_of_seeds(one, seeds[place]) for place, one in found.items()]
    return sorted(runs, key=lambda one: one.started, reverse=True)


def standing(run: pathlib.Path) -> Standing:
    """How the run in a directory stands."""
    who, results = lock.holder(run), _read(run / rundir.RESULTS)
    saved = StepDirectories(run / rundir.CHECKPOINTS).steps()
    facts = _manifest(run, saved)
    tracker = facts.get('tracker', {})
    logged = _last_logged(run) if who or not saved else saved[-1]
    status = 'running' if who else 'finished' if results else _ending(run, bool(saved))
    return Standing(
        run=str(run),
        name=str(_read(run / rundir.CONFIG).get('name', run.name)),
        status=status,
        resumable=bool(saved) and status not in ('running', 'finished'),
        started=_started(run),
        step=results.get('step', logged),
        total_steps=results.get('total_steps', facts.get('total_steps')),
        metric=tracker.get('metric'),
        score=tracker.get('best_value'),
        who=who,
    )


def _of_seeds(one: Standing, seeds: list[Standing]) -> Standing:
    """A run that consists of a run for each seed stands as they do, taken together."""
    if not seeds:
        return one
    statuses = {seed.status for seed in seeds}
    worst = next((s for s in WORST_FIRST if s in statuses), 'interrupted')
    status = one.status if one.status == 'finished' else worst
    scores = [seed.score for seed in seeds if seed.score is not None]
    return dataclasses.replace(
        one,
        status=status,
        resumable=status not in ('running', 'finished'),
        step=sum(seed.step or 0 for seed in seeds),
        total_steps=_planned(one, seeds),
        metric=seeds[0].metric,
        score=statistics.fmean(scores) if scores else None,
    )


def _planned(one: Standing, seeds: list[Standing]) -> int | None:
    """Steps of all seeds that the config names, those not yet begun too."""
    named = _read(pathlib.Path(one.run) / rundir.CONFIG).get('seeds')
    count = max(len(seeds), len(named) if isinstance(named, list) else 0)
    return count * max((seed.total_steps or 0 for seed in seeds), default=0) or None


def run_table(runs: Iterable[Standing], width: int | None = None) -> str:
    """One row for each run, and how to go on with what can be gone on with."""
    runs = list(runs)
    now = time.time()
    rows = [
        [
            one.run,
            said(one),
            age(now - one.started),
            f'{_text(one.step)}/{_text(one.total_steps)}',
            '-' if one.score is None else f'{one.metric} {one.score:.4f}',
        ]
        for one in runs
    ]
    text = table(rows, ['run', 'status', 'age', 'step', 'best'], width)
    resumable = next((one.run for one in runs if one.resumable), None)
    if resumable:
        name = mirror.known_as(resumable)
        text += f'\n\ngo on with one: python main.py --workdir={name}'
    return text


def said(one: Standing) -> str:
    """How a run stands, such as 'crashed at step 40, resumable'."""
    words = one.status
    if words in ('failed', 'crashed', 'interrupted') and one.step is not None:
        words = f'{words} at step {one.step:,}'
    return f'{words}, resumable' if one.resumable else words


def age(seconds: float) -> str:
    """'3 d', '5 h', '12 min', '40 s': the largest unit that it fills."""
    for unit, size in UNITS.items():
        if seconds >= size:
            return f'{seconds // size:.0f} {unit}'
    return '0 s'


def _folders(places: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """The visible directories right below those that can be read."""
    found = []
    for place in places:
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            found += [
                pathlib.Path(entry.path)
                for entry in entries
                if entry.is_dir() and not entry.name.startswith('.')
            ]
    return found


def _ending(run: pathlib.Path, saved: bool) -> str:
    """How a run ended that is neither running nor finished."""
    if lock.is_left_behind(run):
        return 'crashed'
    _, ended, trace = _tail(run / rundir.LOG).rpartition(ENDED)
    if ended and not GENTLE.search(trace):
        return 'failed'
    return 'interrupted' if saved else 'empty'


def _manifest(run: pathlib.Path, saved: list[int]) -> dict:
    """What the newest checkpoint says of its run; nothing if it is damaged."""
    if not saved:
        return {}
    try:
        return manifest.read(run / rundir.CHECKPOINTS / str(saved[-1]))
    except (manifest.Damaged, UserError, OSError):
        return {}


def _started(run: pathlib.Path) -> float:
    """When its first start was, else when its config was written."""
    with contextlib.suppress(OSError, UserError, LookupError, TypeError, ValueError):
        first = provenance.attempts(run)[0]['started']
        return datetime.datetime.fromisoformat(first).timestamp()
    return (run / rundir.CONFIG).stat().st_mtime


def _last_logged(run: pathlib.Path) -> int | None:
    """The step of the last whole line of the metrics."""
    for line in reversed(_tail(run / rundir.METRICS).splitlines()):
        with contextlib.suppress(ValueError, LookupError, TypeError):
            return json.loads(line)['step']
    return None


def _read(path: pathlib.Path) -> dict:
    """A flat JSON file; nothing where it is missing or damaged."""
    with contextlib.suppress(OSError, UserError):
        value = files.read_json(path)
        return value if isinstance(value, dict) else {}
    return {}


def _tail(path: pathlib.Path) -> str:
    with contextlib.suppress(OSError), path.open('rb') as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return file.read().decode(errors='replace')
    return ''


def _text(number: int | None) -> str:
    return '-' if number is None else str(number)
