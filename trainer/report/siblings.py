"""Runs that differ in the seed alone: what tells how sure a score is."""

import pathlib
from collections.abc import Mapping

from trainer import files, rundir, which_run
from trainer.errors import UserError
from trainer.report.records import Record

NO_MATTER = ('seed', 'seeds')  # what may differ between runs that are compared
MOST = 200  # neighbours that are looked at


def seed_scores(record: Record) -> tuple[dict[str, dict[str, float]], str]:
    """Scores of each seed, by the run's name, and where they were found.

    Those of the run itself where it has several; else of finished runs beside it that
    have its config but another seed.
    """
    if record.seeds:
        found = {seed.directory.name: seed.scores for seed in record.seeds}
        return {name: scores for name, scores in found.items() if scores}, 'of this run'
    if not record.results:
        return {}, ''
    mine = record.directory.resolve()
    found = {str(record.config.get('seed')): record.scores}
    for place in which_run.list_runs(mine.parent)[-MOST:]:
        other = config_of(place) if place != mine else {}
        if other and rundir.finished(place) and alike(other, record.config):
            found.setdefault(str(other.get('seed')), Record(place).scores)
    return found, 'runs beside this one with the same config'


def alike(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two configs are equal but for the seed."""
    return identity(one) == identity(other)


def identity(config: Mapping[str, object]) -> dict[str, object]:
    """A config without what may differ between seeds."""
    return {k: v for k, v in config.items() if k not in NO_MATTER}


def config_of(run: pathlib.Path) -> dict[str, object]:
    """Its flat config; {} where it cannot be read."""
    try:
        config = files.read_json(run / rundir.CONFIG)
    except (OSError, UserError):
        return {}
    return {k: v for k, v in config.items() if k != rundir.FORMAT_KEY}
