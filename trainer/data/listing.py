"""Lists the files below a folder, each once, whatever links and rights do to it.

Paths are relative, with '/', in an order of their own; knows suffixes, no contents.
"""

import contextlib
import dataclasses
import errno
import os

from trainer.data.source import printable
from trainer.errors import UserError

IGNORED = '__MACOSX'


@dataclasses.dataclass
class Listing:
    """What lies below a folder.

    Attributes:
      root: the folder.
      sizes: bytes of each file by its relative path, sorted.
      folders: relative paths of all folders.
      problems: one line for each thing that is broken or not to be read.
      remarks: one line for each that is left out for a reason.
    """

    root: str
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    folders: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)


def list_files(
    root: str, suffixes: tuple[str, ...], follow_links: bool = False
) -> Listing:
    """All files below `root` that end in one of the suffixes, in any case.

    Hidden files and folders are left out. A folder that several links lead to is
    visited once, so that loops end.

    Args:
      root: an existing folder.
      suffixes: such as '.jpg'; lower case.
      follow_links: also where they leave the folder.

    Raises:
      UserError: there is no such folder, or it cannot be read.
    """
    walk = _Walk(root, suffixes, follow_links)
    walk.run()
    walk.found.sizes = dict(sorted(walk.found.sizes.items(), key=_by_bytes))
    return walk.found


def written_path(root: str, path: str) -> str:
    """A path that a person or another system wrote, as it is called below `root`.

    Where nothing is called so, spaces around it go, and Windows' backslashes turn.
    """
    if os.path.lexists(os.path.join(root, path)):
        return path
    return path.strip().replace('\\', '/')


def _by_bytes(item):
    return os.fsencode(item[0])


class _Walk:
    def __init__(self, root, suffixes, follow_links):
        self.found = Listing(root)
        self.suffixes, self.follow_links = suffixes, follow_links
        self.inside = os.path.realpath(root) + os.sep
        self.seen: set[tuple[int, int]] = set()

    def run(self):
        with contextlib.suppress(OSError):  # told when it is listed
            self._is_first_visit(os.stat(self.found.root))
        waiting = ['']
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(os.path.join(self.found.root, folder)) as entries:
                    entries = sorted(entries, key=lambda entry: os.fsencode(entry.name))
            except OSError as error:
                self._cannot_list(folder, error)
                continue
            for entry in entries:
                path = f'{folder}/{entry.name}' if folder else entry.name
                try:
                    if self._is_new_folder(entry, path):
                        waiting.append(path)
                except OSError as error:
                    self._problem(path, os.strerror(error.errno))

    def _is_new_folder(self, entry, path) -> bool:
        """Takes a file, or says that a folder is to be visited."""
        if entry.name.startswith('.') or entry.name == IGNORED:
            return False
        if entry.is_symlink() and not self._may_follow(entry, path):
            return False
        if not entry.is_dir():
            if entry.name.lower().endswith(self.suffixes):
                self._take(entry, path)
            return False
        if not self._is_first_visit(entry.stat()):
            self.found.remarks.append(f'{printable(path)}: leads where we were already')
            return False
        self.found.folders.append(path)
        return True

    def _is_first_visit(self, status):
        identity = status.st_dev, status.st_ino
        new = identity not in self.seen
        self.seen.add(identity)
        return new

    def _may_follow(self, entry, path):
        target = os.path.realpath(entry.path)
        if self.follow_links or (target + os.sep).startswith(self.inside):
            return True
        self._problem(path, f'a link that leaves {printable(self.found.root)}')
        return False

    def _take(self, entry, path):
        if entry.is_file():
            self.found.sizes[path] = entry.stat().st_size
        elif entry.is_symlink():
            self._problem(path, 'a link that leads nowhere')
        else:
            self._problem(path, 'no regular file')

    def _cannot_list(self, folder, error):
        if folder:
            self._problem(folder, os.strerror(error.errno))
            return
        shown = printable(self.found.root)
        if error.errno == errno.ENOENT:
            raise UserError(
                f'There is no folder {shown}; looked from {os.getcwd()}.'
            ) from error
        if error.errno == errno.ENOTDIR:
            raise UserError(
                f'{shown} is a file; name a folder of pictures, or for a table of '
                f"labels Images.source = @Csv() and Csv.file = '{shown}' instead of "
                f'the folder (docs/data.md has all sources).'
            ) from error
        raise UserError(f'{shown} cannot be listed: {error.strerror}.') from error

    def _problem(self, path, what):
        self.found.problems.append(f'{printable(path)}: {what}')
