"""What a bucket holds of a run, and what a directory does, in the same terms.

The index is the object that is written last: a checkpoint that it does not name is not
there. Names are relative and of files alone; knows nothing of how they come and go.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import socket
from collections.abc import Iterator

from trainer import manifest
from trainer.errors import UserError
from trainer.manifest import Damaged
from trainer.rundir import CHECKPOINTS

FORMAT = 1
OURS = '.juniper'  # objects that are about the mirror
INDEX, OWNER = f'{OURS}/index.json', f'{OURS}/owner.json'
BLOCK = 2**20


@dataclasses.dataclass(frozen=True)
class File:
    """One file: its size, SHA-256 and time (seconds since the epoch)."""

    bytes: int
    sha256: str
    modified: float = dataclasses.field(compare=False)

    @classmethod
    def of(cls, path: pathlib.Path) -> 'File':
        """Reads a file."""
        digest = hashlib.sha256()
        with path.open('rb') as file:
            facts = os.fstat(file.fileno())
            while block := file.read(BLOCK):
                digest.update(block)
            return cls(file.tell(), digest.hexdigest(), facts.st_mtime)


Files = dict[str, File]


@dataclasses.dataclass(frozen=True)
class Index:
    """What one publishing has named.

    Attributes:
      serial: one more than of the index before.
      writer: the directory that published it, by the token of its mirror.
      host, written: on which machine and when, for people.
      files: by name.
      checkpoints: by the name of its directory (`checkpoints/120`), files by name.
    """

    serial: int = 0
    writer: str = ''
    host: str = ''
    written: str = ''
    files: Files = dataclasses.field(default_factory=dict)
    checkpoints: dict[str, Files] = dataclasses.field(default_factory=dict)

    def next(self, writer: str, files: Files, checkpoints: dict[str, Files]) -> 'Index':
        """The index that follows this one."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
        here = socket.gethostname()
        return Index(self.serial + 1, writer, here, now, files, checkpoints)

    def objects(self) -> set[str]:
        """The names of all objects that it speaks of."""
        inner = (
            f'{folder}/{name}'
            for folder, files in self.checkpoints.items()
            for name in files
        )
        return {*self.files, *inner}

    def holds(self, folder: str, sizes: dict[str, int]) -> bool:
        """Whether it names a checkpoint of just these files.

        Sizes are enough: Orbax gives its files names that no other checkpoint has.
        """
        files = self.checkpoints.get(folder)
        return files is not None and sizes_in(files) == sizes

    def encoded(self) -> bytes:
        """As JSON."""
        body = {'juniper.mirror_format': FORMAT, **dataclasses.asdict(self)}
        return json.dumps(body, indent=1).encode()


def sizes_in(files: Files) -> dict[str, int]:
    """What `sizes_of` gives of the same files on the disk."""
    return {name: file.bytes for name, file in files.items()}


def decoded(content: bytes | str, where: str) -> Index:
    """The index that `encoded` wrote.

    Raises:
      UserError: it is none, is of a newer version, or names files elsewhere.
    """
    try:
        body = json.loads(content)
        version = body.pop('juniper.mirror_format')
        if version != FORMAT:
            raise UserError(
                f'{where} has format {version}, but this Juniper reads {FORMAT}; '
                f'update the program.'
            )
        body['files'] = _files(body['files'])
        folders = body['checkpoints'].items()
        body['checkpoints'] = {name: _files(files) for name, files in folders}
        index = Index(**body)
        unsafe = next((n for n in index.objects() if not _is_below(n)), None)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{where} is damaged, no index of a run; restore it, or give another '
            f'--workdir.'
        ) from error
    if unsafe is not None:
        raise UserError(f'{where} names {unsafe!r}, which is no file of a run.')
    return index


def _files(body: dict) -> Files:
    return {name: File(**facts) for name, facts in body.items()}


def _is_below(name: str) -> bool:
    """Whether a name stays in its directory, and is none that we hide there."""
    path = pathlib.PurePosixPath(name)
    return not path.is_absolute() and not any(p.startswith('.') for p in path.parts)


def step_of(folder: str) -> int | None:
    """The step whose checkpoint has this directory; None for any other directory."""
    head, _, tail = folder.rpartition('/')
    if head.rpartition('/')[2] != CHECKPOINTS or not tail.isdecimal():
        return None
    return int(tail)


def files_of(place: pathlib.Path) -> list[str]:
    """The files in a run's directory that are in no checkpoint; hidden ones are not."""
    return list(_walk(place, ''))


def checkpoints_of(place: pathlib.Path) -> dict[str, dict[str, int]]:
    """The checkpoints of a run, and of those of its seeds: sizes of their files."""
    folders = [place, *(p for p in place.glob('*/') if not p.name.startswith('.'))]
    found = {}
    for folder in folders:
        for path in (folder / CHECKPOINTS).glob('*/'):
            name = path.relative_to(place).as_posix()
            if step_of(name) is not None:
                found[name] = sizes_of(path)
    return found


def sizes_of(folder: pathlib.Path) -> dict[str, int]:
    """Every file below a folder, with its size, but for those that go meanwhile."""
    found = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = pathlib.Path(root, name)
            try:
                found[path.relative_to(folder).as_posix()] = path.stat().st_size
            except FileNotFoundError:
                continue
    return found


def best_of(checkpoint: pathlib.Path) -> int | None:
    """The step of the best evaluation until a checkpoint, as far as it says."""
    try:
        return manifest.read(checkpoint)['tracker']['best_step']
    except (Damaged, UserError, KeyError, TypeError):
        return None


def kept_of(checkpoint: pathlib.Path) -> list[int] | None:
    """The steps that a run keeps for ever, as of a checkpoint; None if it is silent."""
    try:
        return manifest.read(checkpoint)['kept']
    except (Damaged, UserError, KeyError):
        return None


def _walk(place: pathlib.Path, below: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(place / below), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        name = f'{below}{entry.name}'
        if entry.name.startswith('.') or entry.is_symlink():
            continue
        if entry.is_file():
            yield name
        elif entry.name != CHECKPOINTS:
            yield from _walk(place, f'{name}/')
