"""What `models --published` shows: every version, how good, how large, how healthy."""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence

from trainer.checkpoint_list import GOOD
from trainer.console import table
from trainer.errors import UserError
from trainer.registry.shelf import places, read, root_of
from trainer.screen import escaped

__all__ = ['Row', 'listing', 'root_of', 'table_of']


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One version, as `shelf.Published` has it, in values that JSON has too.

    `health` is 'sealed': what it says of itself is what was published; or 'verified':
    so is every byte.
    """

    name: str
    version: str
    path: str
    task: str
    published: str
    metric: str | None
    score: float | None
    scores: dict
    bytes: int
    sha256: str
    health: str
    note: str
    licence: str


def listing(
    patterns: Sequence[str], root=None, verify: bool = False
) -> tuple[list[Row], list[str]]:
    """All versions of the names that match, and a line for each that is damaged.

    Args:
      patterns: names or shell patterns; none means all.
      root: the registry, as `shelf.root_of` takes it.
      verify: read every byte; else only what a version says of itself.

    Raises:
      UserError: a pattern matches no name; says the nearest.
    """
    rows, damaged = [], []
    for place in places(patterns, root):
        try:
            rows.append(_row(place, verify))
        except UserError as error:
            damaged.append(str(error))
    return rows, damaged


def table_of(rows: Iterable[Row], now: float) -> str:
    """One line for each version; `now` is in seconds since the epoch."""
    from trainer.run_list import age

    header = ['name', 'version', 'score', 'size', 'age', 'health', 'sha256', 'note']
    cells = [
        [
            row.name,
            row.version,
            '-' if row.score is None else f'{row.metric} {row.score:.4f}',
            f'{row.bytes / 1e6:,.1f} MB',
            age(now - datetime.datetime.fromisoformat(row.published).timestamp()),
            row.health,
            row.sha256[:12],
            ' '.join(escaped(row.note).split()),  # others may have published it
        ]
        for row in rows
    ]
    return table(cells, header)


def _row(place, verify: bool) -> Row:
    published = read(place)
    if verify:
        published.verify()
    names = [field.name for field in dataclasses.fields(Row)]
    said = {n: getattr(published, n) for n in names if hasattr(published, n)}
    return Row(**said | {'path': str(published.path), 'health': GOOD[verify]})
