"""The checkpoints that a directory has, as anybody may read them: verified, untouched.

Knows steps, manifests and fingerprints; nothing of what a state means.
"""

import os

from trainer import manifest as manifests
from trainer import state_files
from trainer.errors import UserError
from trainer.manifest import Damaged
from trainer.step_directories import StepDirectories


class SavedSteps:
    """The checkpoints in `directory/<step>/`, read from the disk at every question."""

    def __init__(self, directory: str | os.PathLike):
        """Touches nothing on the disk."""
        self.directories = StepDirectories(directory)

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

    def has(self, sealed: dict) -> bool:
        """True if the disk has the state of such a manifest already.

        Raises:
          UserError: it has another one of that step.
        """
        step = sealed['step']
        if step not in self.steps():
            return False
        if self.manifest(step)['leaves'] == sealed['leaves']:
            return True
        raise UserError(
            f'{self.directories.root} has another checkpoint of step {step}; '
            f'resume from it, or give another --workdir.'
        )

    def load(self, step: int, abstract_state, scoring=False) -> tuple[object, dict]:
        """A verified state and its manifest; never another step, and moves nothing.

        Args:
          step: which one.
          abstract_state: a pytree of `jax.ShapeDtypeStruct` with shardings.
          scoring: read only what its `for_scoring` has.

        Raises:
          UserError: there is no such step, it is damaged, or of another model.
        """
        manifest, path = self.manifest(step), self.directories[step]
        wanted = abstract_state.for_scoring if scoring else None
        try:
            state = state_files.load(path, manifest, abstract_state, wanted)
        except Damaged as damage:
            raise self._damaged(step, damage) from damage
        return state, manifest

    def _damaged(self, step: int, damage: Damaged) -> UserError:
        others = [other for other in self.steps() if other != step]
        return UserError(
            f'The checkpoint {self.directories[step]} is damaged: {damage}. Restore it '
            f'from a copy, or choose another one: there is {_listed(others)}.'
        )


def _listed(steps: list[int]) -> str:
    return ', '.join(map(str, steps)) or 'none'
