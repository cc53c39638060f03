"""Published versions as they stand on the disk: `<registry>/<name>/<version>/`.

A version is a small run directory with one checkpoint, a card for people, a list of
all its bytes, and `published.json`. Finds, lists and verifies them; writes nothing and
imports no JAX.
"""

import dataclasses
import fnmatch
import os
import pathlib
import re
from collections.abc import Iterable

from trainer import files, rundir
from trainer.errors import UserError
from trainer.lint.nearest import nearest
from trainer.manifest import Damaged
from trainer.registry import seal, semantic
from trainer.registry.semantic import LATEST

VARIABLE, DEFAULT = 'JUNIPER_REGISTRY', 'registry'
CARD = 'card.md'
FORMAT = 1
NAMED = 10  # of the names that there are, in an error
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,99}')
REFERENCE = re.compile(rf'{NAME.pattern}@[^/@]+')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """One version.

    Attributes:
      name, version: under which it is found.
      path: its directory.
      published: when, as ISO 8601 in UTC.
      note, licence: as they were given; '' where they were not.
      task: what it learnt.
      step: of the checkpoint.
      metric, score: by which its run chose the best checkpoint; None where it had none.
      scores: of that step, {'val/loss': 0.1, ...}.
      bytes: of all files.
      sha256: of the list of all files, which tells two versions apart.
    """

    name: str
    version: str
    path: pathlib.Path
    published: str
    note: str
    licence: str
    task: str
    step: int
    metric: str | None
    score: float | None
    scores: dict
    bytes: int
    sha256: str

    def __str__(self):
        return f'{self.name} {self.version}'

    @property
    def card(self) -> str:
        """What it is, for people, as Markdown."""
        return (self.path / CARD).read_text(encoding='utf-8')

    def verify(self) -> 'Published':
        """Reads every byte; gives itself.

        Raises:
          UserError: one is not what was published; names the file.
        """
        try:
            seal.verify(self.path)
        except Damaged as damage:
            raise not_as_published(self.path, damage) from damage
        return self


def root_of(given: str | os.PathLike | None = None) -> pathlib.Path:
    """The registry that is given, else that of the environment, else the usual one.

    Raises:
      UserError: it is an address; versions need a file system.
    """
    root = given or os.environ.get(VARIABLE) or DEFAULT
    files.check_local(root, 'a registry')
    return pathlib.Path(root).expanduser()


def is_reference(location: str) -> bool:
    """Whether a text has the form NAME@VERSION, and is no file of that name."""
    return bool(REFERENCE.fullmatch(location)) and not os.path.exists(location)


def find(reference: str, root: str | os.PathLike | None = None) -> Published:
    """The version that is meant; its bytes are not read.

    Args:
      reference: 'NAME@1.0.0', 'NAME@latest', 'NAME@^1', or 'NAME', its latest.
      root: as `root_of` takes it.

    Raises:
      UserError: there is none of that name (says the nearest) or version (says which
        there are), or what is there is no version that was published here.
    """
    name, at, wanted = reference.partition('@')
    root = root_of(root)
    versions = versions_of(root, name)
    if not versions:
        raise UserError(f'There is no model {name!r} in {_where(root, name)}')
    version = semantic.newest(wanted if at else LATEST, versions)
    if version is None:
        raise UserError(
            f'{name} has no version {wanted} in {root}; it has {", ".join(versions)}.'
        )
    return read(root / name / version)


def names_in(root: pathlib.Path) -> list[str]:
    """All names that have a version, sorted."""
    there = (path.name for path in root.iterdir()) if root.is_dir() else ()
    return sorted(name for name in there if versions_of(root, name))


def versions_of(root: pathlib.Path, name: str) -> list[str]:
    """All versions of a name, the oldest first; [] where there is none."""
    folder = root / name
    if not NAME.fullmatch(name) or not folder.is_dir():
        return []
    there = [p.name for p in folder.iterdir() if semantic.VERSION.fullmatch(p.name)]
    return sorted(there, key=semantic.order)


def listed(
    patterns: Iterable[str] = (), root: str | os.PathLike | None = None
) -> list[Published]:
    """Every version at `places`; arguments as there.

    Raises:
      UserError: as `places` and `read` do.
    """
    return [read(place) for place in places(patterns, root)]


def places(
    patterns: Iterable[str] = (), root: str | os.PathLike | None = None
) -> list[pathlib.Path]:
    """Directories of all versions of the names that match, the newest of each first.

    Args:
      patterns: names or shell patterns such as 'digits*'; none means all.
      root: as `root_of` takes it.

    Raises:
      UserError: a pattern matches no name; says the nearest.
    """
    root = root_of(root)
    names, patterns = names_in(root), list(patterns)
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UserError(f'There is no model {pattern!r} in {_where(root, pattern)}')
    chosen = [n for n in names if any(fnmatch.fnmatch(n, p) for p in patterns or '*')]
    newest_first = ((name, reversed(versions_of(root, name))) for name in chosen)
    return [root / name / version for name, some in newest_first for version in some]


def read(directory: pathlib.Path) -> Published:
    """What a version's directory says of itself; only the list and this are verified.

    Raises:
      UserError: it is no version, is damaged, or was written by a newer Juniper.
    """
    try:
        sha256, hashes = seal.read_list(directory)
        seal.check_file(directory, rundir.PUBLISHED, hashes.get(rundir.PUBLISHED, ''))
    except Damaged as damage:
        raise not_as_published(directory, damage) from damage
    facts = files.read_json(directory / rundir.PUBLISHED)
    if facts.pop('format') != FORMAT:
        raise UserError(
            f'{directory} was published by Juniper {facts["juniper"]}, in a format '
            f'that this one does not read; use that version.'
        )
    there = [path for path in map(directory.joinpath, hashes) if path.is_file()]
    size = sum(path.stat().st_size for path in there)
    known = {field.name for field in dataclasses.fields(Published)}
    said = {key: value for key, value in facts.items() if key in known}
    return Published(path=directory, bytes=size, sha256=sha256, **said)


def not_as_published(directory: pathlib.Path, damage: Damaged) -> UserError:
    """What to say of a version that is damaged."""
    return UserError(
        f'{directory} is not what was published: {damage}. Restore it from a copy, or '
        f'use another version.'
    )


def _where(root: pathlib.Path, name: str) -> str:
    """Where was looked, and what there is instead, as the end of a sentence."""
    names = names_in(root)
    if not names:
        return (
            f'{root}, which holds none: publish a run (python main.py publish), or '
            f'name the registry with --registry or ${VARIABLE}.'
        )
    near = nearest(name, names)
    if near:
        return f"{root}; did you mean '{near}'?"
    more = ' ...' if len(names) > NAMED else ''
    return f'{root}; it has {", ".join(names[:NAMED])}{more}.'
