"""What no answer is written over: inputs, what a run keeps, files of another kind.

Knows files by their names and places, not what they say; writes nothing.
"""

import os
import pathlib
from collections.abc import Iterable

from trainer import rundir
from trainer.errors import UserError
from trainer.search.place import storage_of

PAGES = ('.html', '.htm')


def check_file(
    out: str | os.PathLike,
    suffixes: Iterable[str],
    inputs: Iterable[str | os.PathLike] = (),
) -> None:
    """Raises UserError where the file of --out is something that must stay.

    Args:
      out: the file.
      suffixes: of files of its kind, such as '.csv': one that is there is replaced.
      inputs: files that are read for it.
    """
    path = pathlib.Path(out).expanduser()
    if is_among(path, inputs):
        raise UserError(f'--out={out} is one of the files to read; name another.')
    keeper = keeper_of(path)
    if keeper:
        raise UserError(
            f'--out={out} is where the run or search {keeper} keeps its own; name '
            f'another file.'
        )
    same = path.suffix.lower() in suffixes
    if path.is_file() and path.stat().st_size and not same:
        raise UserError(
            f'--out={out} is there already, and is not called like what is written '
            f'({", ".join(suffixes)}); name another file, or remove this one first.'
        )


def is_among(path: pathlib.Path, inputs: Iterable[str | os.PathLike]) -> bool:
    """Whether a file is one of those, by whatever name or link."""
    if not path.is_file():
        return False
    own = path.stat()
    there = (os.stat(given) for given in inputs if os.path.exists(given))
    return any(os.path.samestat(own, other) for other in there)


def keeper_of(path: pathlib.Path) -> pathlib.Path | None:
    """The directory of the run or search to which a file belongs by its name, if any.

    Raises:
      UserError: it lies in a published version.
    """
    for place in path.absolute().parents:
        rundir.check_open(place)
        first = path.absolute().relative_to(place).parts[0]
        if rundir.keeps(first) and (rundir.is_run(place) or storage_of(place)):
            return place
    return None
