"""A trace of a few steps of a run, for TensorBoard and Perfetto: `Experiment.profile`.

Knows step numbers and JAX's profiler; nothing of what a step does.
"""

import contextlib
import dataclasses
import pathlib
from typing import Annotated

import gin
import jax
from annotated_types import Ge

from trainer.screen import say, warn

FOLDER = 'profile'


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """Which steps of a run are traced.

    Attributes:
      first: the first of them, counted from 1; the very first steps warm up.
      steps: how many.
    """

    first: Annotated[int, Ge(1)] = 10
    steps: Annotated[int, Ge(1)] = 5


class Tracer(contextlib.AbstractContextManager):
    """Traces into `profile/` of the run directory; never stops a run.

    with Tracer(profile, directory) as tracer:
        with tracer.step(step + 1):
            watch = take(...)
        tracer.sent(step + 1, watch)
    """

    def __init__(self, profile: Profile | None, directory: pathlib.Path):
        """Traces nothing without a profile."""
        self.profile, self.folder = profile, directory / FOLDER
        self.running = False

    def step(self, step: int, count: int = 1) -> contextlib.AbstractContextManager:
        """Around what sends off a step, or several in one; names it in the trace."""
        profile = self.profile
        wanted = profile and profile.first < step + count and step < self._behind
        if wanted and not self.running:
            self._guarded(jax.profiler.start_trace, str(self.folder))
        if not self.running:
            return contextlib.nullcontext()
        return jax.profiler.StepTraceAnnotation('train', step_num=step)

    def sent(self, step: int, watch) -> None:
        """Ends the trace behind its last step, waiting for the device."""
        if self.running and step + 1 >= self._behind:
            jax.block_until_ready(watch)
            self._stop()

    def __exit__(self, *error) -> None:
        if self.running:
            self._stop()

    @property
    def _behind(self) -> int:
        return self.profile.first + self.profile.steps

    def _stop(self) -> None:
        self._guarded(jax.profiler.stop_trace)
        if self.profile is not None:
            say(f'a trace of the steps from {self.profile.first} on: {self.folder}')

    def _guarded(self, do, *arguments) -> None:
        try:
            do(*arguments)
            self.running = not self.running
        except Exception as error:
            self.profile, self.running = None, False
            warn(f'Profiling failed; the run goes on ({error})')
