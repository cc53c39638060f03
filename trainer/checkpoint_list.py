"""The checkpoints of a run: step, score, size, age and health; builds no model.

Reads manifests, and with `verify` every array, against what was fingerprinted when it
was saved. Moves and changes nothing, and may be asked while the run is under way.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator

from trainer import manifest, rundir, writers
from trainer.console import table
from trainer.errors import UserError
from trainer.manifest import Damaged
from trainer.run_list import age
from trainer.step_directories import CORRUPT, DELETED, StepDirectories

GOOD = ('sealed', 'verified')
LEFT = {CORRUPT: 'set aside as damaged', DELETED: 'half deleted'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One checkpoint on the disk.

    Attributes:
      path: its directory.
      step: its name.
      best: whether the newest good checkpoint calls its evaluation the best so far.
      metric, score: of its step's evaluation; None where that step had none.
      bytes: of all its files.
      saved: seconds since the epoch.
      health: 'sealed': the manifest is what was written; 'verified': so is every array;
        else what is wrong.
    """

    path: str
    step: int
    best: bool
    metric: str | None
    score: float | None
    bytes: int
    saved: float
    health: str

    @property
    def good(self) -> bool:
        """Whether a run could go on from it, as far as was looked."""
        return self.health in GOOD


def checkpoints(directory: pathlib.Path, verify: bool = False) -> list[Checkpoint]:
    """All checkpoints of a run, newest first, those that were set aside last.

    Args:
      directory: the run's.
      verify: read every array, and compare it with its fingerprint.
    """
    steps = StepDirectories(directory / rundir.CHECKPOINTS)
    found = {step: _health(steps[step], verify) for step in reversed(steps.steps())}
    tracker = next((facts['tracker'] for facts, _ in found.values() if facts), {})
    scores = {row['step']: row for row in writers.history(directory / rundir.METRICS)}
    rows = [
        _checkpoint(steps[step], step, tracker, scores.get(step, {}), health)
        for step, (_, health) in found.items()
    ]
    return [row for row in (*rows, *_leftovers(steps)) if row]


def checkpoint_table(rows: Iterable[Checkpoint], now: float) -> str:
    """One row for each checkpoint; `now` is in seconds since the epoch."""
    cells = [
        [
            pathlib.Path(row.path).name,
            '-' if row.score is None else f'{row.metric} {row.score:.4f}',
            'best' if row.best else '',
            f'{row.bytes / 1e6:,.1f} MB',
            age(now - row.saved),
            row.health,
        ]
        for row in rows
    ]
    return table(cells, ['step', 'score', '', 'size', 'age', 'health'])


def _checkpoint(
    path, step: int, tracker: dict, row: dict, health: str
) -> Checkpoint | None:
    """What there is to say of one; None if the run has just deleted it."""
    metric = tracker.get('metric')
    try:
        size, saved = _size(path), path.stat().st_mtime
    except FileNotFoundError:
        return None
    return Checkpoint(
        path=str(path),
        step=step,
        best=step == tracker.get('best_step'),
        metric=metric,
        score=row.get(metric),
        bytes=size,
        saved=saved,
        health=health,
    )


def _leftovers(steps: StepDirectories) -> Iterator[Checkpoint | None]:
    for suffix, health in LEFT.items():
        for step in reversed(steps.steps(suffix)):
            path = steps.root / f'{step}{suffix}'
            yield _checkpoint(path, step, {}, {}, health)


def _health(path: pathlib.Path, verify: bool) -> tuple[dict, str]:
    """The manifest of a checkpoint, empty if it is damaged, and its health."""
    facts = {}
    try:
        facts = manifest.read(path)
        if verify:
            from trainer.state_files import verify_arrays

            verify_arrays(path, facts)
    except Damaged as damage:
        return facts, f'damaged: {damage}'
    except UserError as error:
        return facts, f'not read: {error}'
    return facts, GOOD[verify]


def _size(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
