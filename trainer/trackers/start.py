"""What a writer is told when a run starts: whose metrics come, and what was before."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

from trainer import rundir, writers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """One start of a run, as `Experiment.writers` are given it.

    Attributes:
      directory: of the run.
      name: the experiment's.
      config: flat, as `describe` gives it.
      resumed_from: the step from which the run goes on; None where it begins.
      recorded: bytes of metrics.jsonl that were kept of earlier starts.
    """

    directory: pathlib.Path
    name: str = ''
    config: Mapping[str, object] = dataclasses.field(default_factory=dict)
    resumed_from: int | None = None
    recorded: int = 0

    @property
    def record(self) -> list[dict[str, object]]:
        """Every line that holds from earlier starts; a run repeats all later ones."""
        return writers.read(self.directory / rundir.METRICS, self.recorded)


class Held:
    """What a server already has: of each name the last step.

    A run that goes on repeats the steps since its checkpoint, to the bit; those that a
    server has are left out, so that no point stands there twice.
    """

    def __init__(self, steps: Mapping[str, int] | None = None):
        """Takes the last step of each name."""
        self.steps = dict(steps or {})

    def fresh(self, step: int, scalars: writers.Scalars) -> dict[str, float]:
        """The numbers of a line that are still to be sent."""
        return {
            name: value
            for name, value in scalars.items()
            if value is not None and step > self.steps.get(name, -1)
        }

    def add(self, step: int, names: Iterable[str]) -> None:
        """Notes what was sent; of a line that was left out, nothing new."""
        self.steps |= {name: max(step, self.steps.get(name, -1)) for name in names}
