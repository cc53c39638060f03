"""What becomes of a run whose loss, gradient or weights are no longer finite.

Either it stops, or it goes back to its last checkpoint and leaves out the batch that
broke it. Batches are counted from 0, in the order of the run; those left out are part
of every later checkpoint, so a resumed run leaves out the same.
"""

import dataclasses
import pathlib
import shlex
from collections.abc import Collection
from typing import Annotated, Literal

import gin
import numpy as np
from annotated_types import Ge

from trainer import files, processes
from trainer.errors import TrainingFailed
from trainer.fingerprints import not_finite
from trainer.state import TrainState

RECORD = 'divergence.json'
SHOWN = 6  # examples named on the screen; the record has them all


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Divergence:
    """What to do when a loss or a gradient is not finite.

    Attributes:
      policy: 'stop' ends the run; 'rollback' goes on from the last checkpoint without
        the batch that broke it.
      rollbacks: batches that a run may leave out so before it stops after all.
    """

    policy: Literal['stop', 'rollback'] = 'stop'
    rollbacks: Annotated[int, Ge(1)] = 3


class Diverged(TrainingFailed):
    """A loss or a gradient was not finite.

    Attributes:
      step: before the step that was not finite: so many steps were.
    """

    def __init__(self, step: int, noticed: int):
        super().__init__(
            f'The loss or a gradient is not finite at step {step + 1} (noticed at step '
            f'{noticed}; finite until step {step})'
        )
        self.step = step


def batch_of(step: int, skipped: Collection[int]) -> int:
    """The batch that a step is taken on, where some have been left out."""
    batch = step
    for left_out in sorted(skipped):
        batch += left_out <= batch
    return batch


def check_weights(state: TrainState, step: int) -> None:
    """Raises TrainingFailed where weights are not finite: such a state is not saved."""
    weights = {
        'params': state.params,
        'model_state': state.model_state,
        'average': state.average,
    }
    bad = not_finite(weights)
    if bad:
        raise TrainingFailed(
            f'{bad[0]} is not finite after step {step}, nor are {len(bad) - 1} other '
            f'arrays, though loss and gradient are; nothing of it was saved: lower the '
            f'learning rate, or set adamw.clip_norm.'
        )


def left_out(directory: pathlib.Path, job, skipped, diverged: Diverged) -> tuple:
    """The batches to leave out from here on, the one that broke the run among them.

    Args:
      directory: the run's; divergence.json there gets an entry.
      job: the run.
      skipped: the batches that were left out so far.
      diverged: where it broke.

    Raises:
      TrainingFailed: the policy is to stop, or there were too many; says where, on
        which examples, and how to see it again.
    """
    batch, policy = batch_of(diverged.step, skipped), job.experiment.divergence
    stop = policy.policy == 'stop' or len(skipped) >= policy.rollbacks
    examples = _examples(job, batch)
    command = shlex.join(['python', 'main.py', f'--workdir={directory}'])
    entry = {
        'step': diverged.step + 1,
        'batch': batch,
        'examples': examples,
        'action': 'stopped' if stop else 'left out',
        'reproduce': command,
    }
    if processes.is_main():
        _record(directory / RECORD, entry)
    if stop:
        shown = ', '.join(map(str, examples[:SHOWN]))
        advice = 'lower the learning rate, set adamw.clip_norm'
        if policy.policy == 'stop':
            advice += ", or Divergence.policy = 'rollback'"
        raise TrainingFailed(
            f'{diverged}, on batch {batch} (examples {shown} ..., all in {RECORD}): '
            f'{advice}; `{command}` shows it again.'
        )
    return (*skipped, batch)


def _examples(job, batch: int) -> list[int]:
    """Which examples a batch is made of."""
    batches = job.datasets['train'].train_batches(job.experiment.seed, batch)
    try:
        return np.asarray(next(batches)['index']).tolist()
    finally:
        batches.close()


def _record(path: pathlib.Path, entry: dict) -> None:
    """Adds an entry, once: a run that is killed and resumed breaks there again."""
    entries = files.read_json(path) if path.exists() else []
    files.write_json(path, [*(e for e in entries if e != entry), entry])
