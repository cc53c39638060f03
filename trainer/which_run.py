"""Which run is meant: by a path, a glob, an address, or what lies inside the run.

Reads names and the mark of a run; opens no checkpoint and writes nothing.
"""

import datetime
import difflib
import glob
import itertools
import os
import pathlib
import re

from trainer import places
from trainer.errors import UserError
from trainer.rundir import CHECKPOINTS, CONFIG, STARTED, is_run
from trainer.search.place import check_no_search
from trainer.step_directories import StepDirectories

WEIGHTS = re.compile(r'(best|last|checkpoint)[^/\d]*')  # that weights files have
STEP = re.compile(rf'(.*)/{CHECKPOINTS}/(\d+)/?')


def find(pattern: str, checkpoint: str | None = None) -> pathlib.Path:
    """The newest run directory that a path or glob means.

    A path inside a run (`runs/unet_*/checkpoints/120`) means that run, and so does the
    name of a weights file that is not there (`runs/unet_*/best_model`).

    Args:
      pattern: or an address, from which the run is fetched.
      checkpoint: what is fetched of it beside its files: 'best', 'last', a step, 'all'.

    Raises:
      UserError: there is none; names the pattern and the nearest runs that exist.
    """
    if places.is_address(pattern):
        from trainer import mirror

        return mirror.fetched(pattern, checkpoint)
    expanded = os.path.expanduser(pattern)
    matches = glob.glob(expanded)
    head, tail = os.path.split(expanded)
    if not matches and WEIGHTS.fullmatch(tail):
        matches = glob.glob(head)
    runs = {run for match in matches if (run := _run_around(match))}
    if not runs:
        check_no_search(expanded)
        raise UserError(f'{pattern!r} matches no run directory; {nearest(expanded)}.')
    return max(runs, key=_age_key)


def here(directory: str | os.PathLike, checkpoint: str | None) -> pathlib.Path:
    """A directory itself; of an address, that to which `find` fetches its run."""
    if places.is_address(directory):
        return find(directory, checkpoint)
    return pathlib.Path(directory)


def find_all(pattern: str) -> list[pathlib.Path]:
    """Every run directory that a glob matches, by name; else what `find` finds."""
    matches = sorted(glob.glob(os.path.expanduser(pattern)))
    runs = [pathlib.Path(match) for match in matches if is_run(match)]
    return runs or [find(pattern)]


def list_runs(root: str | os.PathLike = 'runs') -> list[pathlib.Path]:
    """The run directories right below a directory, oldest first."""
    root = pathlib.Path(root)
    found = (path for path in root.iterdir() if is_run(path)) if root.is_dir() else ()
    return sorted(found, key=_age_key)


def checkpoint_of(path: str) -> tuple[str, str]:
    """The run and the step of `RUN/checkpoints/STEP`; of another path '' for both."""
    named = STEP.fullmatch(path)
    return (named[1], named[2]) if named else ('', '')


def is_checkpoint(path: str | os.PathLike) -> bool:
    """Whether that is a directory `checkpoints/STEP` of a run."""
    run, step = checkpoint_of(str(path))
    return bool(step) and is_run(run) and os.path.isdir(path)


def check_newest(pattern: str, run: pathlib.Path) -> None:
    """Raises UserError where a path names an older checkpoint of a run to go on with.

    A run goes on from its newest: what came behind another one would be lost.
    """
    _, step = checkpoint_of(pattern)
    newest = max(StepDirectories(run / CHECKPOINTS).steps(), default=None)
    if step and int(step) != newest:
        raise UserError(
            f'{pattern} is not the checkpoint that {run} goes on from: that is its '
            f'newest, of step {newest}. Give --resume={run}, or begin a run with those '
            f"weights: Net.pretrained = '{pattern}'."
        )


def check_asked(pattern: str, run: pathlib.Path, checkpoint: str) -> None:
    """Raises UserError where a path names another checkpoint than is asked for."""
    _, step = checkpoint_of(pattern)
    if step and step != checkpoint:
        raise UserError(
            f'{pattern} is the checkpoint of step {step}, but --checkpoint says '
            f'{checkpoint}: give --workdir={run} --checkpoint={step}.'
        )


def _run_around(path: str) -> pathlib.Path | None:
    path = pathlib.Path(path)
    return next((place for place in (path, *path.parents) if is_run(place)), None)


def _age_key(run: pathlib.Path) -> tuple[str, int, int]:
    """Orders by the time in the name, or of the config; then by number in a second."""
    modified = (run / CONFIG).stat().st_mtime_ns
    named = STARTED.search(run.name)
    if named:
        return named[1], int(named[2] or 1), modified
    day = datetime.datetime.fromtimestamp(modified / 1e9)
    return f'{day:%Y%m%d_%H%M%S}', 0, modified


def nearest(pattern: str) -> str:
    """What there is instead, as the end of a sentence."""
    outer = itertools.takewhile(
        lambda p: not glob.has_magic(p), pattern.split('/')[:-1]
    )
    roots = dict.fromkeys(['/'.join(outer) or '.', 'runs'])
    known = {str(run): run for root in roots for run in list_runs(root)}
    if not known:
        return f'there are no runs in {" or ".join(roots)}'
    newest = sorted(known, key=lambda name: _age_key(known[name]), reverse=True)
    close = difflib.get_close_matches(pattern, newest, n=3, cutoff=0.5) or newest[:3]
    return f'the nearest are {", ".join(close)}'
