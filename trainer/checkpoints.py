"""Checkpoints that are verified: what is restored is what was saved, or is refused.

Knows steps, manifests and fingerprints; nothing of what a state means. Decisions are
read from the disk, never from memory, by process 0 of several for all of them.
`restore` and `save` belong to the run that holds the directory, the others only read.
"""

import dataclasses
import functools
import os
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait

from trainer import files, holding, orbax_files, processes, state_files
from trainer import manifest as manifests
from trainer.errors import Ending, SaveFailed, UserError
from trainer.manifest import Damaged
from trainer.saved_steps import SavedSteps
from trainer.screen import warn
from trainer.step_directories import CORRUPT

CORRUPT_KEPT = 2
SLOW_SECONDS = 30  # after which a save that is waited for is mentioned


def _accept(_state) -> None:
    """Any state may be saved."""


@dataclasses.dataclass(frozen=True)
class _Pending:
    """A save under way."""

    step: int
    keep_steps: frozenset[int]
    future: Future


class CheckpointStore(SavedSteps):
    """The checkpoints of one run, in `directory/<step>/`.

    Attributes:
      spent: seconds that the thread computed for the last save before Orbax had it.
    """

    def __init__(self, directory: str | os.PathLike, keep: int = 2):
        """Touches nothing on the disk.

        Args:
          directory: made with the first save.
          keep: how many of the newest stay.
        """
        super().__init__(directory)
        self.keep, self.spent = keep, 0.0
        self._pending: _Pending | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix='save')
        self._beginning = threading.Lock()

    @property
    def busy(self) -> bool:
        """True while a save is on its way to the disk."""
        return self._pending is not None and not self._pending.future.done()

    def save(
        self,
        step: int,
        state,
        manifest: dict,
        keep_steps: Collection[int] = (),
        check: Callable[[object], None] = _accept,
    ) -> None:
        """Fingerprints the state and writes it, in the background as far as it can.

        One process whose state lies in its own memory waits for neither: it is held as
        it is, and all that is done with it is done in the thread. Otherwise it has been
        checked, fingerprinted and copied to this machine's memory when this returns.

        Args:
          step: names the checkpoint.
          state: a pytree of arrays; it may be donated when this returns.
          manifest: JSON that `restore` gives back.
          keep_steps: these older checkpoints are not collected.
          check: raises `Ending` where a state may not be saved.

        Raises:
          SaveFailed: the *previous* save failed. This one has not begun; the call may
            be repeated. Or this one cannot begin.
          Ending: from `check`, of the previous save or of this one.
        """
        self.wait()
        facts = manifests.copied(manifest)
        begin = functools.partial(self._begin, step, state, facts, check)
        held = holding.hold(state) if self._at_leisure(step) else None
        if held is not None:
            self._beginning.acquire()  # until the thread has begun
            work = functools.partial(self._begin_and_finish, begin, held)
        elif (begun := begin()) is not None:
            work = functools.partial(self._finish, begun)
        else:
            return
        which = step, frozenset(keep_steps)
        self._pending = _Pending(*which, self._writer.submit(work, *which))

    def _at_leisure(self, step: int) -> bool:
        """Whether nothing speaks against a save that its caller should hear at once.

        Several processes agree on what they save, all in their main threads.
        """
        alone = processes.count() == 1
        return alone and step not in self.steps() and self.directories.made()

    def _begin(self, step: int, state, facts: dict, check: Callable):
        """Describes a state and begins to write it; None where the disk has it."""
        check(state)
        sealed = state_files.seal(facts, step, state)
        if processes.told(self.has(sealed)):
            return None
        self._tidy()
        try:
            return state_files.start_save(self.directories[step], state, sealed)
        except Exception as error:
            raise self._failure(step, error) from error

    def _begin_and_finish(self, begin: Callable, _held: list, *which) -> None:
        """Does all of it; the state is held for as long as this takes."""
        began = time.perf_counter()
        try:
            begun = begin()
        finally:
            self._beginning.release()
        self.spent = time.perf_counter() - began
        self._finish(begun, *which)

    def _finish(self, begun, step: int, keep_steps: Collection[int]) -> None:
        """Waits for Orbax, and until what it wrote would outlive a loss of power."""
        begun.result()
        if processes.is_main():
            files.make_durable(self.directories[step])
        if processes.count() == 1:  # else it may have failed in another one
            self.directories.keep(self.keep, keep_steps)

    def let_finish(self) -> None:
        """Waits for the save under way, however it ends; `wait` tells that.

        For a run that ends otherwise: nothing begins when the interpreter has ended.
        Of several processes one may have been lost, so they do not wait.
        """
        if self._pending is not None and processes.count() == 1:
            wait([self._pending.future])

    def wait(self) -> int | None:
        """Waits until the save under way is on the disk, and old ones are collected.

        Returns:
          Its step; None if none was under way.

        Raises:
          SaveFailed: it is not; what was written of it is removed.
          Ending: it was refused.
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
        except Ending:
            raise
        except Exception as error:
            raise self._failure(pending.step, error) from error
        if processes.count() > 1 and processes.is_main():
            self.directories.keep(self.keep, pending.keep_steps)
        return pending.step

    def load(self, step: int, abstract_state, scoring=False) -> tuple[object, dict]:
        """As of `SavedSteps`, but not while a save begins: Orbax has one counter."""
        with self._beginning:
            return super().load(step, abstract_state, scoring)

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
