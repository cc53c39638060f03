"""The two sides of an address: objects in a bucket, and the directory of its run here.

Looks and fetches; publishes only what a command has written beside a run.
"""

import contextlib
import pathlib
from collections.abc import Iterator

from trainer import lock, places, processes, rundir
from trainer.errors import UserError
from trainer.mirror import record as records
from trainer.mirror.bucket import Bucket, BucketError, advice, retried
from trainer.mirror.fetching import bring
from trainer.mirror.index import INDEX, Index, decoded
from trainer.mirror.owner import Owner, TakenOver, who
from trainer.mirror.publishing import Publisher
from trainer.mirror.record import Record
from trainer.screen import warn
from trainer.turns import turn


class Sides:
    """Both sides of an address.

    Attributes:
      bucket: the far one.
      place: the near one, which need not be there.
    """

    def __init__(self, address: str):
        """Opens no connection yet.

        Raises:
          UserError: there is no such kind of address, or its package is missing.
        """
        self.bucket = Bucket(address)
        self.place = places.local(address)

    @property
    def address(self) -> str:
        """The address as it is always written."""
        return self.bucket.address

    def record(self) -> Record:
        """What the directory remembers."""
        return records.of(self.place, self.address)

    def index(self) -> Index | None:
        """What the bucket names now; None if nothing was ever published there.

        Raises:
          UserError: it is damaged, or of a newer version.
          BucketError: it cannot be read.
        """
        content = retried(lambda: self.bucket.read(INDEX))
        return None if content is None else decoded(content, f'{self.address}/{INDEX}')

    def bring(self, record: Record, index: Index, which: str | None) -> None:
        """Fetches into the directory, one process after another; see `fetching.bring`.

        Raises:
          UserError: as `fetching.bring`, or the directory cannot be written.
          BucketError: an object cannot be read.
        """
        lock.check_writable(self.place)
        with turn(self.place):
            bring(self.bucket, record, index, which)

    @contextlib.contextmanager
    def usable(self) -> Iterator[None]:
        """Inside, an object that cannot be read or written is the user's mistake.

        Raises:
          UserError: in one line, with what to do.
        """
        try:
            yield
        except BucketError as error:
            raise UserError(
                f'{self.address} cannot be used: {error}. {advice(self.address)}'
            ) from error


def fetched(address: str, which: str | None = None) -> pathlib.Path:
    """The directory of the run at an address, as new as the bucket.

    Every process of several fetches what process 0 has seen. Where a run of this
    machine lives in the directory, nothing can be newer, and nothing is fetched.

    Args:
      address: such as 'gs://bucket/run'.
      which: of the checkpoints: 'best', 'last', a step or 'all'; None for none.

    Raises:
      UserError: the address cannot be used, holds no run or no such checkpoint, or
        directory and bucket have gone different ways.
    """
    sides = Sides(address)
    with sides.usable():
        seen = sides.index() if processes.is_main() else None
        seen = processes.told(seen and seen.encoded().decode())
        if lock.holder(sides.place):
            return sides.place
        if seen is not None:
            sides.bring(sides.record(), decoded(seen, sides.address), which)
    if not rundir.is_run(sides.place):
        raise UserError(
            f'{sides.address} holds no run; train one there first '
            f'(--gin_file=CONFIG --workdir={sides.address}).'
        )
    return sides.place


def give_back(directory: pathlib.Path) -> None:
    """Publishes what a command has written beside the run that it had fetched.

    Does nothing for any other directory, or where a run lives there, which publishes
    it; what is in the way is one line, as the command has done its work.
    """
    record = _record_of(directory) if processes.is_main() else None
    if record is None or lock.holder(directory):
        return
    try:
        said = _published(record)
    except (BucketError, TakenOver, UserError) as error:
        said = str(error)
    if said:
        warn(f'what was written to {directory} is not at {record.address}: {said}')


def known_as(directory: str | pathlib.Path) -> str:
    """What to give as --workdir to go on with a run: its address, if it has one."""
    record = _record_of(pathlib.Path(directory))
    return str(directory) if record is None else record.address


def _record_of(directory: pathlib.Path) -> Record | None:
    """The record of a directory that has an address and is no copy of one that has."""
    record = records.read(directory)
    copied = record is None or directory != places.local(record.address)
    return None if copied else record


def _published(record: Record) -> str | None:
    """Publishes a directory, or says why not."""
    sides = Sides(record.address)
    owner = Owner(sides.bucket, record.token)
    there, index = owner.there(), sides.index()
    if not owner.is_free(there):
        return f'it is in use by {who(there)}.'
    if index is None or record.moved_to(index):
        return 'it has changed since; ask again.'
    record.index = index
    owner.claim(there)
    Publisher(sides.bucket, record, owner).publish(everything=True)
    owner.leave()
    return None
