"""When a run saves between its epochs, and what a save that fails means for it.

A save that fails costs a checkpoint, not the run: it is said, counted, and tried again
at the next one. Knows a store and a clock; nothing of what a state means.
"""

import dataclasses
import os
import time
from typing import Annotated

import gin
from annotated_types import Ge, Gt

from trainer import processes
from trainer.checkpoints import CheckpointStore, SaveFailed
from trainer.lock import check_there
from trainer.screen import warn

FAILURES_IN_A_ROW = 3
SHARE = 0.005  # of a run's time that saves by the clock may take


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """How many checkpoints are kept, beside the best one, and how often one is made.

    Attributes:
      keep: the newest ones.
      every: of every so many epochs one is kept for ever.
      seconds: a killed run loses no more work than this, beside what a save takes; None
        saves at epochs alone. Seldomer where saves would take over 0.5 % of the time.
    """

    keep: Annotated[int, Ge(1)] = 2
    every: Annotated[int, Ge(1)] | None = None
    seconds: Annotated[float, Gt(0)] | None = 60


@dataclasses.dataclass
class Saver:
    """Saves a run's state.

    Attributes:
      store: where checkpoints go.
      seconds: between saves by the clock; None saves at its epochs alone.
      place: a locked directory, which must still be there; None asks for none.
      failed: saves that have failed since the start.
    """

    store: CheckpointStore
    seconds: float | None = None
    place: os.PathLike | None = None
    failed: int = 0
    _in_a_row: int = 0
    _cost: float = 0.0
    _saved_at: float = dataclasses.field(default_factory=lambda: time.monotonic())

    @property
    def figures(self) -> dict[str, int]:
        """What a line of metrics says of saving: nothing, unless it failed."""
        return {'perf/failed_saves': self.failed} if self.failed else {}

    def overdue(self, logged: bool = True) -> bool:
        """True once so much time has passed that a kill would cost too much work.

        That is `seconds`, or so long that saves keep to their share of the time. Never
        while a save is under way.

        Args:
          logged: whether the step has a line in the log. Several processes ask at those
            alone, since all must then wait for what the clock of the first says.
        """
        if self.seconds is None or (processes.count() > 1 and not logged):
            return False
        since = time.monotonic() - self._saved_at
        cost = self._cost + self.store.spent
        late = since >= max(self.seconds, cost / SHARE)
        return processes.told(late and not self.store.busy)

    def save(self, step: int, state, manifest: dict, *more) -> None:
        """Begins a save; arguments as of the store's, the last two among them.

        Raises:
          SaveFailed: for the third time in a row.
          TrainingFailed: the run's directory was deleted, or the state of the save
            before this one was refused.
        """
        if self.place is not None:
            check_there(self.place)
        started = time.monotonic()
        try:
            if self.store.wait() is not None:
                self._in_a_row = 0
        except SaveFailed as failure:
            self._bear(failure)
        try:
            self.store.save(step, state, manifest, *more)
        except SaveFailed as failure:
            self._bear(failure)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started

    def finish(self) -> None:
        """Waits until the last save is on the disk.

        Raises:
          SaveFailed: it is not.
        """
        self.store.wait()

    def close(self) -> None:
        """Lets the save under way come to its end, for a run that has failed."""
        self.store.let_finish()

    def _bear(self, failure: SaveFailed) -> None:
        self.failed += 1
        self._in_a_row += 1
        if self._in_a_row == FAILURES_IN_A_ROW:
            raise SaveFailed(
                f'{self._in_a_row} saves in a row have failed. {failure}'
            ) from failure
        warn(f'{failure.what}; training goes on, and the next save tries again.')
