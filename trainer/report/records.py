"""A run as it lies on disk: everything that a report draws from, read once.

What is missing or damaged is empty here, because a run may be young, or have crashed.
Imports no JAX; changes nothing.
"""

import contextlib
import dataclasses
import functools
import pathlib
import re

from trainer import evidence, files, provenance, rundir, which_run, writers
from trainer.errors import UserError
from trainer.results import is_part, is_score
from trainer.run_list import ENDED, Standing, standing

SHOWN = ('test', 'val')  # whose evidence is shown, the first that is there


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """One run.

    Attributes:
      directory: the run's.
    """

    directory: pathlib.Path

    def __post_init__(self):
        rundir.config(self.directory)  # refuses what is no run

    @functools.cached_property
    def config(self) -> dict[str, object]:
        """The flat config."""
        return rundir.config(self.directory)

    @functools.cached_property
    def standing(self) -> Standing:
        """How the run stands."""
        return standing(self.directory)

    @functools.cached_property
    def results(self) -> dict[str, object]:
        """What results.json holds; {} while the run has none."""
        return self._json(rundir.RESULTS, {})

    @functools.cached_property
    def lines(self) -> list[dict[str, object]]:
        """Every line of metrics.jsonl."""
        return writers.read(self.directory / rundir.METRICS)

    @functools.cached_property
    def starts(self) -> list[dict[str, object]]:
        """Provenance of each start."""
        with contextlib.suppress(OSError, UserError):
            return provenance.attempts(self.directory)
        return []

    @functools.cached_property
    def times(self) -> list[dict[str, object]]:
        """Seconds, memory and facts of each start."""
        return self._json(rundir.TIMES, [])

    @functools.cached_property
    def facts(self) -> dict[str, object]:
        """What the last start knew of sizes and devices."""
        return self.times[-1] if self.times else {}

    @functools.cached_property
    def origins(self) -> dict[str, str]:
        """'file:line' or 'command line' of the values that were asked for."""
        return self._json(rundir.ORIGINS, {}).get('origins', {})

    @functools.cached_property
    def defaults(self) -> dict[str, object]:
        """What values would be with the base config alone."""
        return self._json(rundir.ORIGINS, {}).get('defaults', {})

    @functools.cached_property
    def evidence(self) -> tuple[str, dict]:
        """The arrays behind the best scores there are, after 'test' or 'val'."""
        for name in SHOWN:
            if arrays := evidence.read(self.directory, name):
                return name, arrays
        return '', {}

    @functools.cached_property
    def names(self) -> list[str]:
        """Of classes, or of targets; '' of those that are not known."""
        return [str(name) for name in self.evidence[1].get('names', ())]

    @functools.cached_property
    def evaluations(self) -> list[dict[str, object]]:
        """The lines of evaluations, one a step."""
        return list({row['step']: row for row in self.lines if 'epoch' in row}.values())

    @property
    def metric(self) -> str:
        """The score by which the best evaluation is chosen."""
        return self.standing.metric or 'val/loss'

    @property
    def mode(self) -> str:
        """Whether more of it is better, 'max', or less, 'min'."""
        said = self.config.get('best.mode')
        return str(said or ('min' if lower_is_better(self.metric) else 'max'))

    @functools.cached_property
    def best(self) -> dict[str, object]:
        """The line of the best evaluation; {} while there is none."""
        rows = [row for row in self.evaluations if row.get(self.metric) is not None]
        if not rows:
            return {}
        choose = max if self.mode == 'max' else min
        return choose(rows, key=lambda row: row[self.metric])

    @functools.cached_property
    def scores(self) -> dict[str, float]:
        """The overall scores of the run: of the test data, else the best evaluation."""
        found = self.results or self.best
        return {
            k: v
            for k, v in found.items()
            if is_score(k) and not is_part(k) and not k.startswith('perf/')
        }

    @functools.cached_property
    def seeds(self) -> list['Record']:
        """The runs of a run that has several seeds, each with one."""
        below = which_run.list_runs(self.directory)
        return [Record(place) for place in below if place.name.startswith('seed_')]

    @functools.cached_property
    def failure(self) -> str:
        """The traceback that ended the run last, '' where none did."""
        if self.standing.status != 'failed':
            return ''
        with contextlib.suppress(OSError):
            log = (self.directory / rundir.LOG).read_text(errors='replace')
            return log.rpartition(ENDED)[2].strip()
        return ''

    def _json(self, name: str, default):
        with contextlib.suppress(OSError, UserError):
            value = files.read_json(self.directory / name)
            return value if isinstance(value, type(default)) else default
        return default


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better, by its name."""
    return re.search(r'loss|rmse|mae|error|norm', metric.rpartition('/')[2]) is not None
