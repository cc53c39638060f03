"""Files that are whole or absent, and JSON that every parser reads.

Knows nothing of runs: text, numbers and paths.
"""

import errno
import json
import math
import os
import pathlib
from collections.abc import Mapping

from trainer import places
from trainer.errors import UserError

NO_FSYNC = (errno.EINVAL, errno.ENOTSUP)  # some file systems, for directories


def check_local(path: str | os.PathLike, what: str = 'a run') -> None:
    """Raises UserError for an address such as a bucket's: we need a file system."""
    if places.is_address(path):
        raise UserError(
            f'{path} is an address; {what} needs a file system, with locks, appends '
            f'and renames. Give a local folder or a mounted disk, and copy it '
            f'afterwards (docs/reliability.md says what holds where).'
        )


def make_folder(flag: str, path: str | os.PathLike) -> pathlib.Path:
    """Makes a folder that a flag names.

    Raises:
      UserError: it cannot be made or written to.
    """
    path = check_folder(flag, path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(flag, path, error) from error
    return path


def check_folder(flag: str, path: str | os.PathLike) -> pathlib.Path:
    """A folder that a flag names, as `make_folder` gives it; makes nothing.

    Raises:
      UserError: it cannot be made or written to.
    """
    check_local(path, f'--{flag}')
    path = pathlib.Path(path).expanduser()
    try:
        there = existing(path)
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, '')
        if not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, '')
    except OSError as error:
        raise unwritable(flag, path, error) from error
    return path


def unwritable(flag: str, path: pathlib.Path, error: OSError) -> UserError:
    """What is said of a folder that cannot be written."""
    return UserError(
        f'--{flag}={path} cannot be written: {os.strerror(error.errno or errno.EIO)}; '
        f'name another folder.'
    )


def existing(path: str | os.PathLike) -> pathlib.Path:
    """A path, or what there is already of its parents."""
    path = pathlib.Path(path)
    parents = (path, *path.absolute().parents)
    return next(place for place in parents if place.exists())


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode('utf-8', 'surrogateescape'))


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file so that a reader, or a crash, sees the old one or the new.

    Raises:
      OSError: as the system says; the old file is then still there.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        with partial.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def write_json(path: str | os.PathLike, value: object) -> None:
    """Writes what `plain` makes of a value, indented, whole or not at all."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + '\n')


def read_json(path: str | os.PathLike) -> object:
    """What a JSON file holds.

    Raises:
      UserError: it is no JSON; names the file.
      OSError: it cannot be read.
    """
    try:
        return json.loads(pathlib.Path(path).read_bytes())
    except ValueError as error:
        raise UserError(
            f'{path} is damaged, no JSON ({error}); restore it, or move it away.'
        ) from error


def plain(value: object) -> object:
    """What strict JSON can say of a value.

    NaN and the infinities become None, as JSON has no word for them. NumPy and JAX
    values become Python's: a float32 the float64 that equals it, so a number always
    has the same digits. What is no number, text, mapping or sequence becomes its `str`.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, 'tolist'):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | None) else str(value)


def make_durable(directory: pathlib.Path) -> None:
    """Brings all files of a directory, its name and its entries to the disk itself."""
    directory.stat()  # raises if there is none
    for root, _, names in os.walk(directory, topdown=False):
        for name in names:
            sync(os.path.join(root, name))
        sync(root)
    sync(directory.parent)


def sync(path: str | os.PathLike) -> None:
    """Brings a file, or the names in a directory, to the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise
    finally:
        os.close(descriptor)
