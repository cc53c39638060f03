"""A directory of files that is sealed: every byte in it is listed, the list as well.

The list is SHA256SUMS, which `sha256sum -c` reads too; its last line is a hash of the
lines before it. Knows files, nothing of what they hold. Detects accidents, and changes
by whoever does not write a new list.
"""

import hashlib
import pathlib

from trainer import files
from trainer.manifest import Damaged

LIST = 'SHA256SUMS'


def seal(directory: pathlib.Path) -> str:
    """Lists all files below a directory; returns the hash of the list, in hex."""
    lines = ''.join(
        f'{_sha256(directory / name)}  {name}\n' for name in sorted(_names(directory))
    )
    whole = hashlib.sha256(lines.encode()).hexdigest()
    files.write_text(directory / LIST, f'{lines}# {whole}\n')
    return whole


def read_list(directory: pathlib.Path) -> tuple[str, dict[str, str]]:
    """The hash of the list, and by each file's path its hash; reads no other file.

    Raises:
      Damaged: the list is missing or not what was written.
    """
    try:
        content = (directory / LIST).read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f'{LIST} is missing') from error
    lines, _, closing = content.rstrip(b'\n').rpartition(b'\n')
    whole = hashlib.sha256(lines + b'\n').hexdigest()
    if content != lines + f'\n# {whole}\n'.encode() or closing[:2] != b'# ':
        raise Damaged(f'{LIST} has been altered')
    rows = (line.partition('  ') for line in lines.decode().splitlines())
    return whole, {name: sha256 for sha256, _, name in rows}


def verify(directory: pathlib.Path) -> None:
    """Reads every byte below a sealed directory.

    Raises:
      Damaged: a file has been altered, added or taken away; names it.
    """
    _, listed = read_list(directory)
    found = _names(directory) - {LIST}
    for name in sorted(listed.keys() - found):
        raise Damaged(f'{name} is missing')
    for name in sorted(found - listed.keys()):
        raise Damaged(f'{name} was added')
    for name, sha256 in listed.items():
        check_file(directory, name, sha256)


def check_file(directory: pathlib.Path, name: str, sha256: str) -> None:
    """Raises Damaged where a file is not what it was when its hash was taken."""
    if not (directory / name).is_file() or _sha256(directory / name) != sha256:
        raise Damaged(f'{name} has been altered')


def _names(directory: pathlib.Path) -> set[str]:
    """Paths of all that is no directory, as the list has them."""
    below = (path for path in directory.rglob('*') if not path.is_dir())
    return {path.relative_to(directory).as_posix() for path in below}


def _sha256(path: pathlib.Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
