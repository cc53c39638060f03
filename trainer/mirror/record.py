"""What a directory remembers of its mirror: whose it is, and what the bucket held.

A small hidden file beside the run, written whole or not at all. Knows nothing of how
objects come and go.
"""

import dataclasses
import pathlib
import secrets

from trainer import files
from trainer.mirror.index import Index, decoded

FILE = '.mirror.json'


@dataclasses.dataclass
class Record:
    """The memory of one directory.

    Attributes:
      place: the directory.
      address: of which it is the local side.
      token: by which its own writings in the bucket are known.
      tried: the serial of the last index that it began to write.
      index: the last one that it wrote or fetched; None before the first.
      elsewhere: checkpoints that the bucket has and this directory never had.
    """

    place: pathlib.Path
    address: str
    token: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))
    tried: int = 0
    index: Index | None = None
    elsewhere: tuple[str, ...] = ()

    def write(self) -> None:
        """Brings it to the disk; the directory must be there."""
        body = {
            'address': self.address,
            'token': self.token,
            'tried': self.tried,
            'index': self.index and self.index.encoded().decode(),
            'elsewhere': list(self.elsewhere),
        }
        files.write_json(self.place / FILE, body)

    def moved_to(self, index: Index) -> bool:
        """Whether an index of the bucket was written by another directory since."""
        if index.writer == self.token:
            return index.serial > self.tried  # our disk was set back since
        return self.index is None or index != self.index

    def unpublished(self, here: dict[str, dict[str, int]]) -> list[str]:
        """The checkpoints of this directory that the bucket never had."""
        known = self.index or Index()
        return [name for name, sizes in here.items() if not known.holds(name, sizes)]


def read(place: pathlib.Path) -> Record | None:
    """The record of a directory; None if it is no side of a mirror.

    Raises:
      UserError: it is damaged.
    """
    path = place / FILE
    if not path.exists():
        return None
    body = files.read_json(path)
    index = body['index'] and decoded(body['index'], str(path))
    return Record(
        place, body['address'], body['token'], body['tried'], index, body['elsewhere']
    )


def of(place: pathlib.Path, address: str) -> Record:
    """The record of a directory, or a new one, which is not yet written."""
    return read(place) or Record(place, address)
