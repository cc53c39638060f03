"""Checkpoints that are verified: what is restored is what was saved, or is refused.

Knows steps, manifests and fingerprints; nothing of what a state means. Decisions are
read from the disk, never from memory, by process 0 of several for all of them.
`restore` and `save` belong to the run that holds the directory, the others only read.
"""

import dataclasses
import os
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait

from trainer import manifest as manifests
from trainer import orbax_files, processes, state_files
from trainer.errors import TrainingFailed, UserError
from trainer.manifest import Damaged
from trainer.screen import warn
from trainer.step_directories import CORRUPT, StepDirectories

CORRUPT_KEPT = 2
SLOW_SECONDS = 30  # after which a save that is waited for is mentioned


class SaveFailed(TrainingFailed):
    """A checkpoint could not be written; the ones before it are as they were.

    Attributes:
      what: the message without advice.
    """

    def __init__(self, what: str, advice: str = ''):
        super().__init__(f'{what}. {advice}' if advice else what)
        self.what = what


@dataclasses.dataclass(frozen=True)
class _Pending:
    """A save under way."""

    step: int
    keep_steps: frozenset[int]
    future: Future


class CheckpointStore:
    """The checkpoints of one run, in `directory/<step>/`."""

    def __init__(self, directory: str | os.PathLike, keep: int = 2):
        """Touches nothing on the disk.

        Args:
          directory: made with the first save.
          keep: how many of the newest stay.
        """
        self.directories = StepDirectories(directory)
        self.keep = keep
        self._pending: _Pending | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix='save')

    @property
    def busy(self) -> bool:
        """True while a save is on its way to the disk."""
        return self._pending is not None and not self._pending.future.done()

    def save(
        self, step: int, state, manifest: dict, keep_steps: Collection[int] = ()
    ) -> None:
        """Fingerprints and copies the state, and writes it in the background.

        Args:
          step: names the checkpoint.
          state: a pytree of arrays; it may be donated when this returns.
          manifest: JSON that `restore` gives back.
          keep_steps: these older checkpoints are not collected.

        Raises:
          SaveFailed: the *previous* save failed. This one has not begun; the call may
            be repeated. Or this one cannot begin.
        """
        self.wait()
        sealed = state_files.seal(manifest, step, state)
        if processes.told(self._is_saved(sealed)):
            return
        self._tidy()
        try:
            future = state_files.start_save(self.directories[step], state, sealed)
        except Exception as error:
            raise self._failure(step, error) from error
        durable = self._writer.submit(_finish, future, self.directories[step])
        self._pending = _Pending(step, frozenset(keep_steps), durable)

    def wait(self) -> int | None:
        """Waits until the save under way is on the disk, and then collects old ones.

        Returns:
          Its step; None if none was under way.

        Raises:
          SaveFailed: it is not; what was written of it is removed.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return None
        if wait([pending.future], SLOW_SECONDS).not_done:
            warn(
                f'the checkpoint of step {pending.step} has been on its way to the '
                f'disk for over {SLOW_SECONDS} s; the run waits for it.'
            )
        try:
            processes.together(pending.future.result, Exception)
        except Exception as error:
            raise self._failure(pending.step, error) from error
        if processes.is_main():
            self.directories.keep(self.keep, pending.keep_steps)
        return pending.step

    def steps(self) -> list[int]:
        """The steps on the disk, ascending; complete, but not verified."""
        return self.directories.steps()

    def manifest(self, step: int) -> dict:
        """The verified manifest of a step.

        Raises:
          UserError: there is no such step, or its manifest is damaged.
        """
        if step not in self.steps():
            raise UserError(
                f'{self.directories.root} has no checkpoint of step {step}; '
                f'it has {_listed(self.steps())}.'
            )
        try:
            return manifests.read(self.directories[step])
        except Damaged as damage:
            raise self._damaged(step, damage) from damage

    def load(self, step: int, abstract_state) -> tuple[object, dict]:
        """A verified state and its manifest; never another step, and moves nothing.

        Args:
          step: which one.
          abstract_state: a pytree of `jax.ShapeDtypeStruct` with shardings.

        Raises:
          UserError: there is no such step, it is damaged, or of another model.
        """
        manifest = self.manifest(step)
        try:
            state = state_files.load(self.directories[step], manifest, abstract_state)
        except Damaged as damage:
            raise self._damaged(step, damage) from damage
        return state, manifest

    def restore(
        self, abstract_state, *, check: Callable[[dict], None]
    ) -> tuple[object, dict] | None:
        """The newest state that is what was saved, and its manifest; None without any.

        A damaged step is moved to `<step>.corrupt`, with one warning, and the one
        before it is tried. A mistake of the user never leads to an older step.

        Args:
          abstract_state: a pytree of `jax.ShapeDtypeStruct` with shardings.
          check: raises `UserError` if a manifest is not of this experiment.

        Raises:
          UserError: from `check`; or the state has other leaves, shapes or types; or
            all checkpoints are damaged.
        """
        self._tidy()
        for step in reversed(processes.told(self.steps())):
            path = self.directories[step]
            try:
                manifest = processes.together(lambda p=path: manifests.read(p), Damaged)
                check(manifest)
                state = state_files.load(path, manifest, abstract_state)
            except Damaged as damage:
                self._set_aside(step, damage)
            else:
                if processes.is_main():
                    self.directories.forget_corrupt(CORRUPT_KEPT)
                return state, manifest
        if processes.told(self.directories.steps(CORRUPT)):
            raise UserError(
                f'All checkpoints in {self.directories.root} are damaged. Restore them '
                f'from a copy, or delete this directory to train from the beginning.'
            )
        return None

    def _tidy(self) -> None:
        """Ends what was interrupted of deletions and saves, before any goes on."""
        if processes.is_main():
            self.directories.forget_deleted()
            orbax_files.remove_unfinished(self.directories.root)
        processes.meet()

    def _set_aside(self, step: int, damage: Damaged) -> None:
        if processes.is_main():
            aside = self.directories.set_aside(step).name
            warn(
                f'the checkpoint of step {step} is damaged ({damage}); it is now '
                f'{aside}, and the one before it is used.'
            )
        processes.meet()

    def _is_saved(self, sealed: dict) -> bool:
        """True if the disk has the same state of this step already."""
        step = sealed['step']
        if step not in self.steps():
            return False
        if self.manifest(step)['leaves'] == sealed['leaves']:
            return True
        raise UserError(
            f'{self.directories.root} has another checkpoint of step {step}; '
            f'resume from it, or give another --workdir.'
        )

    def _failure(self, step: int, error: Exception) -> SaveFailed:
        """Removes what was written of a step, and says why it could not be saved."""
        if processes.is_main():
            orbax_files.remove_unfinished(self.directories.root, step)
            self.directories.delete(step)  # there if only its way to the disk failed
        steps = processes.told(self.steps())
        then = f'resume from step {steps[-1]}' if steps else 'start again'
        return SaveFailed(
            f'The checkpoint of step {step} could not be written to '
            f'{self.directories.root}: {orbax_files.reason(error)}',
            f'Make room or mend the disk, then {then}.',
        )

    def _damaged(self, step: int, damage: Damaged) -> UserError:
        others = [other for other in self.steps() if other != step]
        return UserError(
            f'The checkpoint {self.directories[step]} is damaged: {damage}. Restore it '
            f'from a copy, or choose another one: there is {_listed(others)}.'
        )


def _finish(future, directory) -> None:
    """Waits for Orbax, and until what it wrote would outlive a loss of power."""
    future.result()
    if processes.is_main():
        orbax_files.make_durable(directory)


def _listed(steps: list[int]) -> str:
    return ', '.join(map(str, steps)) or 'none'
