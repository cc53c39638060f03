"""From a directory to a bucket: checkpoints, then files, then the index of them all.

Only what the index no longer names is deleted, and only once the new one is there. What
has been sent is not sent again after a failure. Knows nothing of threads.
"""

import os
import pathlib
from collections.abc import Iterable, Iterator

from trainer.mirror.bucket import Bucket, BucketError, in_parallel
from trainer.mirror.index import (
    INDEX,
    File,
    Files,
    Index,
    best_of,
    checkpoints_of,
    files_of,
    kept_of,
    sizes_in,
    sizes_of,
    step_of,
)
from trainer.mirror.owner import Owner
from trainer.mirror.record import Record
from trainer.step_directories import held

Signature = tuple[int, int]  # size and time: another one, and a file is read again


class Publisher:
    """Publishes one directory."""

    def __init__(self, bucket: Bucket, record: Record, owner: Owner):
        """Sends nothing yet.

        Args:
          bucket: at the address, which the owner has claimed.
          record: of the directory, which knows the bucket's index.
          owner: this process.
        """
        self.bucket, self.record, self.owner = bucket, record, owner
        self.place, self._garbage = record.place, set()
        self._whole = dict(self.index.checkpoints)  # in the bucket, if not yet named
        self._sent: dict[str, tuple[Signature, File]] = {}
        self._before = frozenset(self.index.checkpoints)  # what is not in it is new

    @property
    def index(self) -> Index:
        """What the bucket names now."""
        return self.record.index or Index()

    def clear(self, names: Iterable[str]) -> None:
        """Of these objects, those of checkpoints that were half published are to go."""
        known = self.index.objects()
        self._garbage |= {n for n in names if _in_checkpoint(n) and n not in known}

    def has_news(self) -> bool:
        """Whether there is a checkpoint that the bucket should have."""
        return bool(self._missing(checkpoints_of(self.place)))

    def has_changed(self) -> bool:
        """Whether a file is not as it was last sent."""
        now = dict(self._signatures())
        files = {n: s for n, (s, _) in self._sent.items() if not _in_checkpoint(n)}
        return now != files

    def publish(self, everything: bool = False) -> None:
        """Brings the bucket to where the directory is.

        Args:
          everything: send also the checkpoint before the newest, where it is missing;
            else an older one that is there stays in its place.

        Raises:
          BucketError: an object could not be written; the next call goes on from there.
          TakenOver: somebody else publishes here now; nothing was named.
        """
        here = checkpoints_of(self.place)
        self._withdraw(here)
        for name in self._missing(here, everything):
            self._send_checkpoint(name)
        checkpoints = self._named(checkpoints_of(self.place))
        files = self._send_files()  # as new as the checkpoints, or newer
        if (files, checkpoints) != (self.index.files, self.index.checkpoints):
            self._name(files, checkpoints)
        self._sweep()

    def _missing(self, here: dict, everything: bool = False) -> list[str]:
        """The checkpoints to send, oldest first.

        Where saves come faster than they can be sent, the one before the newest is left
        out: the time is better spent on the newest.
        """
        missing = []
        for names in _by_folder(here):
            unsent = [name for name in names if name not in self._whole]
            before = names[-2:-1]
            if before and before[0] in unsent and not everything:
                best = best_of(self.place / names[-1])
                unsent = [n for n in unsent if n != before[0] or step_of(n) == best]
            missing += unsent
        return missing

    def _named(self, here: dict) -> dict[str, Files]:
        """The checkpoints that the index is to name.

        Those that are here and in the bucket, those that never were here and are not
        collected, and where that leaves one alone the newest that was named until now.
        """
        there = {**self.index.checkpoints, **self._whole}
        elsewhere = set(self.record.elsewhere) - self._collected(here)
        kept = {n for n in there if n in here or n in elsewhere}
        for names in _by_folder(here):
            if not kept.issuperset(names) and len(kept.intersection(names)) < 2:
                folder = os.path.dirname(names[0])
                others = {n for n in there if os.path.dirname(n) == folder} - kept
                kept |= set(sorted(others, key=step_of)[-1:])
        return {name: there[name] for name in sorted(kept, key=_order)}

    def _collected(self, here: dict) -> set[str]:
        """Of those that never were here, what a run that has saved anew does not keep.

        It would have collected them itself, had it had them.
        """
        kept = {}
        for *_, newest in _by_folder(here):
            is_new = newest not in self._before
            said = kept_of(self.place / newest) if is_new else None
            kept[os.path.dirname(newest)] = said
        told = {n: kept.get(os.path.dirname(n)) for n in self.record.elsewhere}
        return {n for n, k in told.items() if k is not None and step_of(n) not in k}

    def _withdraw(self, here: dict) -> None:
        """Names no longer what is here with other bytes, such as after damage."""
        there = {**self.index.checkpoints, **self._whole}
        other = {n for n in here.keys() & there.keys() if sizes_in(there[n]) != here[n]}
        self._whole = {n: f for n, f in self._whole.items() if n not in other}
        kept = {n: f for n, f in self.index.checkpoints.items() if n not in other}
        if kept != self.index.checkpoints:
            self._name(self.index.files, kept)

    def _send_checkpoint(self, name: str) -> None:
        """Sends a checkpoint, which is not collected meanwhile."""
        path = self.place / name
        with held(path):
            try:
                files = sizes_of(path)
                sent = in_parallel(lambda file: self._send(f'{name}/{file}'), files)
            except (BucketError, FileNotFoundError):
                if path.is_dir():
                    raise
                return  # collected in the moment before it was held
        if files:
            self._whole[name] = dict(zip(files, sent, strict=True))

    def _send_files(self) -> Files:
        """Sends what is not in checkpoints, but for what goes meanwhile."""

        def send(name: str) -> File | None:
            try:
                return self._send(name)
            except (BucketError, FileNotFoundError):
                if (self.place / name).exists():
                    raise
                return None

        names = [name for name, _ in self._signatures()]
        sent = zip(names, in_parallel(send, names), strict=True)
        return {name: file for name, file in sent if file is not None}

    def _send(self, name: str) -> File:
        """Sends a file, unless the bucket has it."""
        path = self.place / name
        signature, known = _signature(path), self._sent.get(name)
        if known is not None and known[0] == signature:
            return known[1]
        file = File.of(path)
        if known is None or known[1].sha256 != file.sha256:
            self.bucket.upload(path, name)
        self._sent[name] = signature, file
        return file

    def _signatures(self) -> Iterator[tuple[str, Signature]]:
        """The files outside of checkpoints that are there."""
        for name in files_of(self.place):
            try:
                yield name, _signature(self.place / name)
            except FileNotFoundError:
                continue

    def _name(self, files: Files, checkpoints: dict[str, Files]) -> None:
        """Writes the index."""
        before, record = self.index, self.record
        index = before.next(record.token, files, checkpoints)
        self.owner.beat()
        record.tried = index.serial
        record.write()
        self.bucket.write(INDEX, index.encoded())
        record.index = index
        record.write()
        self._garbage |= before.objects()
        self._whole = dict(checkpoints)

    def _sweep(self) -> None:
        """Deletes the objects that are named no more."""
        gone = (self._garbage | self._sent.keys()) - self.index.objects()
        if gone:
            self.owner.beat()  # who has lost the address deletes nothing there
        in_parallel(self.bucket.remove, sorted(gone))
        self._garbage.clear()
        for name in gone:
            self._sent.pop(name, None)


def _by_folder(names: Iterable[str]) -> Iterator[list[str]]:
    """The checkpoints of each run, oldest first."""
    names = list(names)
    for folder in sorted({os.path.dirname(name) for name in names}):
        yield sorted((n for n in names if os.path.dirname(n) == folder), key=step_of)


def _order(name: str) -> tuple[str, int]:
    return os.path.dirname(name), step_of(name)


def _in_checkpoint(name: str) -> bool:
    """Whether an object is of a checkpoint."""
    head = pathlib.PurePosixPath(name).parents
    return any(step_of(folder.as_posix()) is not None for folder in head)


def _signature(path: pathlib.Path) -> Signature:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns
