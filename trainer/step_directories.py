"""The directories that a run's checkpoints live in, and what their names mean.

`7` is the checkpoint of step 7; `7.corrupt` one that was found damaged; `7.deleted` one
whose deletion was interrupted. Knows names alone, nothing of what is inside.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Collection, Iterator

CORRUPT = '.corrupt'
DELETED = '.deleted'
_held: set[pathlib.Path] = set()


@contextlib.contextmanager
def held(step: pathlib.Path) -> Iterator[None]:
    """Inside, no run of this process collects a checkpoint, since it is being read."""
    _held.add(step)
    try:
        yield
    finally:
        _held.discard(step)


class StepDirectories:
    """All checkpoints below one directory, read from the disk at every question."""

    def __init__(self, root: str | os.PathLike):
        """Touches nothing on the disk; a relative path is made absolute."""
        self.root = pathlib.Path(os.path.abspath(root))

    def __getitem__(self, step: int) -> pathlib.Path:
        return self.root / str(step)

    def made(self) -> bool:
        """Whether the root is there; it is made if it can be."""
        with contextlib.suppress(OSError):
            self.root.mkdir(parents=True, exist_ok=True)
        return self.root.is_dir()

    def steps(self, suffix: str = '') -> list[int]:
        """Steps with a directory `<step><suffix>`, ascending."""
        if not self.root.is_dir():
            return []
        stems = (
            path.name.removesuffix(suffix)
            for path in self.root.iterdir()
            if path.name.endswith(suffix) and path.is_dir()
        )
        return sorted(int(stem) for stem in stems if _is_step(stem))

    def delete(self, step: int) -> None:
        """Deletes a step, renamed first: half deleted, it is no longer listed.

        A step that cannot be deleted stays listed, for another time.
        """
        with contextlib.suppress(OSError):
            self[step].rename(self.root / f'{step}{DELETED}')
        self._remove(step, DELETED)

    def keep(self, newest: int, others: Collection[int] = ()) -> None:
        """Deletes all steps but the newest few, the others named and those held."""
        for step in self.steps()[:-newest]:
            if step not in others and self[step] not in _held:
                self.delete(step)

    def set_aside(self, step: int) -> pathlib.Path:
        """Renames a damaged step, which is then no longer listed; returns its place."""
        aside = self.root / f'{step}{CORRUPT}'
        self._remove(step, CORRUPT)
        self[step].rename(aside)
        return aside

    def forget_corrupt(self, keep: int) -> None:
        """Deletes all that was set aside but the newest few."""
        for step in self.steps(CORRUPT)[:-keep]:
            self._remove(step, CORRUPT)

    def forget_deleted(self) -> None:
        """Ends deletions that were interrupted."""
        for step in self.steps(DELETED):
            self._remove(step, DELETED)

    def _remove(self, step: int, suffix: str) -> None:
        shutil.rmtree(self.root / f'{step}{suffix}', ignore_errors=True)


def _is_step(name: str) -> bool:
    return name.isdecimal() and name == str(int(name))
