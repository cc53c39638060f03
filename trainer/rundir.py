"""The run directory: how it is made and recognised, and its files' names.

A directory that holds anything else is never written to. Knows nothing of what the
files say, but for the mark in config.json by which a run is known.
"""

import datetime
import itertools
import os
import pathlib
import re

from trainer import files
from trainer.errors import UserError

CONFIG_GIN = 'config.gin'
OPERATIVE_GIN = 'operative.gin'
CONFIG = 'config.json'
PROVENANCE = 'provenance.json'
METRICS = 'metrics.jsonl'
HISTORY = 'training_history.json'
RESULTS = 'results.json'
TIMES = 'times.json'
ORIGINS = 'origins.json'
REPORT = 'report.html'
PUBLISHED = 'published.json'
LEFT_OUT = 'left_out.json'
LOG = 'log.txt'
CHECKPOINTS = 'checkpoints'
TENSORBOARD = 'tensorboard'

KEPT = {  # names of what runs, their trackers and searches write beside logs
    *(CONFIG_GIN, OPERATIVE_GIN, CONFIG, PROVENANCE, METRICS, HISTORY, RESULTS, TIMES),
    *(ORIGINS, REPORT, PUBLISHED, LEFT_OUT, CHECKPOINTS, TENSORBOARD),
    *('evidence', 'pictures', 'profile', 'divergence.json', 'pretrained.json'),
    *('metrics.csv', 'mlflow.json', 'wandb.json'),
    *('best.gin', 'search.json', 'study.journal', 'study.db'),
}

FORMAT_KEY, FORMAT = 'juniper.run_format', 1
STARTED = re.compile(r'_(\d{8}_\d{6})(?:_(\d+))?$')
LOGS = re.compile(r'log(_\d+)?\.txt')  # of all processes
SCORES = re.compile(r'evaluation_.*\.json')
LEFT_BY_A_START = ('lost+found',)  # beside logs, hidden files: no one's work is lost


def create(name: str, root: str | os.PathLike = 'runs') -> pathlib.Path:
    """Makes `root/<name>_<YYYYMMDD_HHMMSS>/`, its own even if another starts right now.

    Raises:
      UserError: it cannot be made.
    """
    stem = f'{name}_{datetime.datetime.now():%Y%m%d_%H%M%S}'
    root = pathlib.Path(root)
    _make(root)
    for number in itertools.count(1):
        path = root / (stem if number == 1 else f'{stem}_{number}')
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise _unusable(path, error) from error
        return path


def open_workdir(path: str | os.PathLike) -> pathlib.Path:
    """The directory that a user names: an empty one, a run's, or one that is made.

    Raises:
      UserError: it is no directory, or holds something else. Nothing is written then.
    """
    files.check_local(path)
    path = pathlib.Path(path).expanduser()
    check_workdir(path)
    _make(path)
    return path


def check_workdir(path: pathlib.Path) -> None:
    """Raises UserError where a run may not lie; writes nothing."""
    check_open(path)
    foreign = [] if is_run(path) else foreign_files(path)
    if foreign:
        raise UserError(
            f'{path} is no Juniper run: it holds {", ".join(foreign[:3])}'
            f'{" ..." if len(foreign) > 3 else ""} and no {CONFIG} of a run. '
            f'Give a --workdir that is empty, new, or a run to go on with.'
        )


def foreign_files(path: pathlib.Path) -> list[str]:
    """Names, sorted, of what no start of a run leaves in a directory, be there one.

    Raises:
      UserError: it is no directory, or cannot be read.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.name not in LEFT_BY_A_START
                and not LOGS.fullmatch(entry.name)
                and (entry.is_dir() or not entry.name.startswith('.'))
            )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(path, error) from error


def is_run(path: str | os.PathLike) -> bool:
    """True for a directory that a run of ours has been writing to."""
    try:
        flat = files.read_json(pathlib.Path(path) / CONFIG)
    except (OSError, UserError):
        return False
    return isinstance(flat, dict) and FORMAT_KEY in flat


def keeps(name: str) -> bool:
    """Whether files and folders of that name in its directory are a run's own."""
    hidden = name.startswith('.')
    patterns = (LOGS, SCORES)
    return hidden or name in KEPT or any(p.fullmatch(name) for p in patterns)


def check_open(directory: str | os.PathLike) -> None:
    """Raises UserError for a run that is published: nothing is written into it."""
    if (pathlib.Path(directory) / PUBLISHED).exists():
        raise UserError(
            f'{directory} is a published version, which stays as it is; name the run '
            f'that it came from, or begin one with its weights (Net.pretrained).'
        )


def log_of(process: int) -> str:
    """The name of the log of one of several processes; the first has the run's."""
    return f'log_{process}.txt' if process else LOG


def write_config(directory: str | os.PathLike, flat: dict[str, object]) -> None:
    """Writes config.json, which makes the directory a run: the first file to write."""
    files.write_json(pathlib.Path(directory) / CONFIG, {FORMAT_KEY: FORMAT, **flat})


def config(directory: str | os.PathLike) -> dict[str, object]:
    """The flat config as it was written, without the mark of a run.

    Raises:
      UserError: this is no run directory, or one of a newer Juniper.
    """
    if not is_run(directory):
        raise UserError(f'{directory} is no Juniper run: it has no {CONFIG} of one.')
    flat = files.read_json(pathlib.Path(directory) / CONFIG)
    version = flat.pop(FORMAT_KEY)
    if version != FORMAT:
        raise UserError(
            f'{directory} has run format {version}, but this Juniper reads {FORMAT}; '
            f'use the version that {PROVENANCE} there names.'
        )
    return flat


def results(directory: str | os.PathLike) -> dict[str, object] | None:
    """The flat results of a run; None while there are none."""
    path = pathlib.Path(directory) / RESULTS
    return files.read_json(path) if path.exists() else None


def finished(directory: str | os.PathLike) -> bool:
    """True once a run has written its results, which it does last."""
    return (pathlib.Path(directory) / RESULTS).exists()


def _make(path: pathlib.Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: pathlib.Path, error: OSError) -> UserError:
    return UserError(
        f'{path} cannot be a run directory: {os.strerror(error.errno)}. '
        f'Give a --workdir where you may write.'
    )
