"""Where a search lies: how its directory is known, and where one may begin.

Knows files by their names, and nothing of what a study says; imports nothing heavy.
"""

import os
import pathlib

from trainer import files, rundir
from trainer.errors import UserError

STUDY_FILES = {'journal': 'study.journal', 'sqlite': 'study.db'}  # by storage
BEST = 'best.gin'


def storage_of(folder: str | os.PathLike) -> str | None:
    """The storage of the study in a directory; None where there is no study."""
    place = pathlib.Path(folder)
    kinds = (kind for kind, name in STUDY_FILES.items() if (place / name).exists())
    return next(kinds, None)


def place_of(folder: pathlib.Path, number: int) -> pathlib.Path:
    """The directory of a trial in that of its study."""
    return folder / f'trial_{number:03d}'


def check_no_search(folder: str | os.PathLike) -> None:
    """Raises UserError for the directory of a search, where a run is asked for."""
    if not storage_of(folder) or rundir.is_run(folder):
        return
    best = pathlib.Path(folder) / BEST
    trains = f', and --gin_file={best} trains its best' if best.exists() else ''
    raise UserError(
        f'{folder} is a search, no run: its trials are runs, such as '
        f'{place_of(pathlib.Path(folder), 0)}/seed_0; `python main.py search '
        f'--workdir={folder}` goes on with it{trains}.'
    )


def check_folder(folder: str | os.PathLike) -> pathlib.Path:
    """The directory of a search: an empty one, a search's, or one to be made.

    Raises:
      UserError: it is no directory, or holds something else. Nothing is written then.
    """
    files.check_local(folder, 'a search')
    path = files.check_folder('workdir', folder)
    foreign = [] if storage_of(path) else rundir.foreign_files(path)
    advice = 'Give a --workdir that is empty, new, or a search to go on with.'
    if rundir.is_run(path):
        raise UserError(
            f'{path} is a run, and a search keeps its trials in a directory of its '
            f'own. {advice}'
        )
    if foreign:
        raise UserError(
            f'{path} is no search: it holds {", ".join(foreign[:3])}'
            f'{" ..." if len(foreign) > 3 else ""} and no study. {advice}'
        )
    return path
