"""From a bucket to a directory: the files of a run, and the checkpoints asked for.

Of a checkpoint comes what the index names, byte for byte by its SHA-256, and it is on
the disk itself before it has its name. What of a run is only here is never overwritten.
"""

import os
import pathlib
import shutil
from collections.abc import Sequence

from trainer import files, rundir
from trainer.errors import UserError
from trainer.mirror.bucket import Bucket, BucketError, in_parallel, retried
from trainer.mirror.index import File, Index, best_of, checkpoints_of, files_of, step_of
from trainer.mirror.record import Record
from trainer.screen import warn
from trainer.step_directories import StepDirectories

TO_TRAIN, ALL, BEST, LAST = 'to train', 'all', 'best', 'last'
PARTIAL = '.orbax-checkpoint-tmp-fetched'  # as every unfinished save: cleared away
KEEP = 2  # of the newest, where a run does not say


def bring(bucket: Bucket, record: Record, index: Index, which: str | None) -> None:
    """Makes a directory hold what an index names, and notes it.

    Args:
      bucket: at the address.
      record: of the directory, which is made if it is not there.
      index: the bucket's, as it is now.
      which: of the checkpoints: 'best', 'last', a step, 'all', those 'to train' with,
        or None for none.

    Raises:
      UserError: directory and bucket have gone different ways; or there is no such
        checkpoint, or none that is whole.
      BucketError: an object cannot be read.
    """
    place, moved = record.place, record.moved_to(index)
    before = checkpoints_of(place)
    if moved:
        _check_apart(bucket, record, index)
        _drop_what_went(record, index)
    place.mkdir(parents=True, exist_ok=True)
    coming = Fetching(bucket, place, index)
    coming.files(replace=moved)
    if which is not None:
        for folder in sorted({os.path.dirname(name) for name in index.checkpoints}):
            coming.checkpoints(folder, which)
    never = set(index.checkpoints if moved or not before else record.elsewhere)
    never &= set(index.checkpoints) - set(checkpoints_of(place))
    if which == TO_TRAIN:
        never -= coming.damaged
    record.elsewhere = tuple(sorted(never))
    record.index, record.tried = index, max(record.tried, index.serial)
    record.write()


def _check_apart(bucket: Bucket, record: Record, index: Index) -> None:
    """Raises UserError where both sides have what the other never had."""
    here = checkpoints_of(record.place)
    own = [n for n in record.unpublished(here) if not index.holds(n, here[n])]
    if own:
        there = max(index.checkpoints, key=step_of, default='no checkpoint')
        raise UserError(
            f'{record.place} has {max(own, key=step_of)}, which {bucket.address} never '
            f'had, and {index.host} went on there ({there}, {index.written}). To go on '
            f'from there delete {record.place}; to keep what is here copy it, and give '
            f'the copy as --workdir.'
        )


def _drop_what_went(record: Record, index: Index) -> None:
    """Deletes what the bucket had when it was last looked at, and has no more."""
    before = record.index or Index()
    for name in before.files.keys() - index.files.keys():
        (record.place / name).unlink(missing_ok=True)
    for name, sizes in checkpoints_of(record.place).items():
        if not index.holds(name, sizes):
            StepDirectories((record.place / name).parent).delete(step_of(name))


class Fetching:
    """What comes from a bucket into one directory.

    Attributes:
      damaged: the checkpoints that turned out not to be whole.
    """

    def __init__(self, bucket: Bucket, place: pathlib.Path, index: Index):
        """Fetches nothing yet."""
        self.bucket, self.place, self.index = bucket, place, index
        self.damaged: set[str] = set()

    def files(self, replace: bool) -> None:
        """Brings all files; those that are here stay, unless they are to be replaced.

        A file is written anew under its name, so it may be younger than the index, as
        after a kill it may be younger than the last checkpoint.
        """
        here = set(files_of(self.place))
        in_parallel(
            self._bring_file,
            [
                name
                for name, file in self.index.files.items()
                if name not in here
                or (replace and File.of(self.place / name).sha256 != file.sha256)
            ],
        )

    def checkpoints(self, folder: str, which: str) -> None:
        """Brings those of one run that are asked for; `bring` says how."""
        here = _steps(checkpoints_of(self.place), folder)
        there = _steps(self.index.checkpoints, folder)
        steps = sorted(here | there, reverse=True)
        most = {TO_TRAIN: _kept(self.place / folder), ALL: len(steps)}.get(which, 1)
        if which.isdecimal():
            if int(which) not in steps:
                raise self._no_such(which, steps)
            steps = [int(which)]
        found = self._first_whole(folder, steps, most)
        if not found:
            raise UserError(
                f'No checkpoint of {self.bucket.address}/{folder} is whole: its '
                f'objects are missing or altered. Restore them from a copy, or give '
                f'another --workdir.'
            )
        if which in (TO_TRAIN, BEST):
            best = best_of(self.place / folder / str(found[0]))
            self._first_whole(folder, [best] if best in there else [], 1)

    def _no_such(self, which: str, steps: Sequence[int]) -> UserError:
        listed = ', '.join(map(str, reversed(steps)))
        return UserError(
            f'There is no checkpoint {which!r} at {self.bucket.address}; choose best, '
            f'last or {listed}.'
        )

    def _first_whole(self, folder: str, steps: Sequence[int], most: int) -> list[int]:
        """The first few of the steps that are here, or are whole when they come."""
        found = []
        for step in steps:
            if len(found) < most and self._has(f'{folder}/{step}'):
                found.append(step)
        return found

    def _has(self, name: str) -> bool:
        """Whether a checkpoint is here, or is whole when it comes."""
        path = self.place / name
        if path.is_dir():
            return True
        partial = path.with_name(path.name + PARTIAL)
        shutil.rmtree(partial, ignore_errors=True)
        wanted = self.index.checkpoints[name]
        for folder in {os.path.dirname(file) for file in wanted}:
            (partial / folder).mkdir(parents=True, exist_ok=True)
        bad = in_parallel(lambda file: self._is_bad(name, file, partial), wanted)
        if any(bad):
            self.damaged.add(name)
            warn(
                f'{self.bucket.address}/{name} is not what was published '
                f'({next(filter(None, bad))}); it is left out.'
            )
            shutil.rmtree(partial, ignore_errors=True)
            return False
        files.make_durable(partial)
        partial.rename(path)
        files.sync(path.parent)
        modified = max((file.modified for file in wanted.values()), default=0)
        os.utime(path, (modified, modified))
        return True

    def _is_bad(self, name: str, file: str, partial: pathlib.Path) -> str | None:
        """Brings a file of a checkpoint; says which it was, if it is not as it was."""
        target, facts = partial / file, self.index.checkpoints[name][file]
        try:
            source = f'{name}/{file}'
            retried(lambda: self.bucket.download(source, target, facts.bytes))
        except BucketError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return f'{file} is missing'
            raise
        return f'{file} has other bytes' if File.of(target) != facts else None

    def _bring_file(self, name: str) -> None:
        content = retried(lambda: self.bucket.read(name))
        if content is not None:
            path, modified = self.place / name, self.index.files[name].modified
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content)
            os.utime(path, (modified, modified))


def _steps(names, folder: str) -> set[int]:
    return {step_of(name) for name in names if os.path.dirname(name) == folder}


def _kept(folder: pathlib.Path) -> int:
    """How many of the newest checkpoints the run keeps."""
    try:
        return int(rundir.config(folder.parent).get('checkpoints.keep', KEEP))
    except (UserError, TypeError, ValueError):
        return KEEP
