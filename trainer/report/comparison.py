"""Runs side by side: what they scored, what they differ in, and whether that is chance.

Runs of one config but for the seed are a group: its scores have a mean and a spread.
Reads what runs have written; imports no JAX.
"""

import dataclasses
import difflib
import functools
import json
import os
import statistics
from collections.abc import Iterable, Sequence

from trainer import which_run
from trainer.errors import UserError
from trainer.report.records import Record, lower_is_better
from trainer.report.siblings import identity
from trainer.welch import welch


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs with one config but for the seed.

    Attributes:
      name: a letter, as people talk of it.
      runs: of it, and `values`, their scores.
      p: of Welch's t-test against the best group; None for that one itself, and where
        one of the two has fewer than two runs.
    """

    name: str
    runs: Sequence[Record]
    values: Sequence[float]
    p: float | None = None

    @property
    def mean(self) -> float | None:
        """Over the runs that have a score."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation, of two runs and more."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Some runs, and the metric by which they are ranked."""

    runs: Sequence[Record]
    metric: str

    @property
    def lower(self) -> bool:
        """Whether less of the metric is better."""
        return lower_is_better(self.metric)

    def score(self, run: Record) -> float | None:
        """Of a run: its result, else that of its best evaluation."""
        return run.scores.get(self.metric)

    @functools.cached_property
    def names(self) -> dict[Record, str]:
        """Directories of runs, without what all of them share."""
        places = [str(run.directory.resolve()) for run in self.runs]
        shared = os.path.commonpath([os.path.dirname(place) for place in places])
        relative = [os.path.relpath(place, shared) for place in places]
        return dict(zip(self.runs, relative, strict=True))

    @functools.cached_property
    def ranked(self) -> list[Record]:
        """The best run first; those without a score last."""
        return sorted(self.runs, key=lambda run: self._rank(self.score(run)))

    @functools.cached_property
    def differences(self) -> dict[str, list[object]]:
        """Values of the config that are not the same in all runs, in ranked order."""
        keys = dict.fromkeys(key for run in self.ranked for key in run.config)
        found = {key: [run.config.get(key) for run in self.ranked] for key in keys}
        return {
            key: values
            for key, values in found.items()
            if len({json.dumps(value) for value in values}) > 1
        }

    @functools.cached_property
    def groups(self) -> list[Group]:
        """Runs of one config, the best mean first."""
        found: dict[str, list[Record]] = {}
        for run in self.ranked:
            found.setdefault(json.dumps(identity(run.config)), []).append(run)
        made = []
        for runs in found.values():
            scores = [self.score(run) for run in runs]
            made.append(Group('', runs, [s for s in scores if s is not None]))
        made.sort(key=lambda group: self._rank(group.mean))
        best = made[0].values
        return [
            Group(
                letters(place),
                group.runs,
                group.values,
                welch(group.values, best) if place else None,
            )
            for place, group in enumerate(made)
        ]

    def _rank(self, value: float | None) -> tuple[bool, float]:
        if value is None:
            return True, 0.0
        return False, value if self.lower else -value


def compare(words: Sequence[str], metric: str | None = None) -> Comparison:
    """The comparison of the runs that words mean.

    Args:
      words: directories and globs; a run with several seeds stands for those.
      metric: such as 'test/acc_top1'; None takes the test score that decides, or the
        one by which the best checkpoint was chosen.

    Raises:
      UserError: a word that means no run, or a metric that no run has.
    """
    runs = list(found_runs(words))
    known = dict.fromkeys(key for run in runs for key in run.scores)
    if metric is None:
        metric = _usual(runs)
    elif metric not in known:
        near = difflib.get_close_matches(metric, known, 1)
        hint = f'did you mean {near[0]}?' if near else f'there are {", ".join(known)}.'
        raise UserError(f'No run has the score {metric!r}; {hint}')
    return Comparison(runs, metric)


def found_runs(words: Iterable[str]) -> Iterable[Record]:
    """Every run that is meant, once, in the order of the words."""
    seen = set()
    for word in words:
        for place in which_run.find_all(word):
            record = Record(place)
            for run in record.seeds or [record]:
                if run.directory.resolve() not in seen:
                    seen.add(run.directory.resolve())
                    yield run


def letters(place: int) -> str:
    """'A', 'B', ... 'Z', 'AA', ..."""
    rest, letter = divmod(place, 26)
    return (letters(rest - 1) if rest else '') + chr(ord('A') + letter)


def _usual(runs: Sequence[Record]) -> str:
    """The test score of the same name as the deciding metric, where all have it."""
    metric = runs[0].metric
    test = f'test/{metric.partition("/")[2]}'
    return test if all(test in run.scores for run in runs) else metric
