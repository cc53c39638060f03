"""The report of a run: its sections in order, written into its directory.

Works on any run, young, finished, killed or damaged: what is missing is left out.
"""

import os
import pathlib

from trainer import files, rundir
from trainer.report import (
    certainty,
    classes,
    cost,
    curves,
    gallery,
    related,
    settings,
    story,
)
from trainer.report.page import page
from trainer.report.records import Record

RELOAD = 20  # seconds, while the run lives


def write_report(directory: str | os.PathLike) -> pathlib.Path:
    """Writes report.html into a run directory, and says where it is.

    Raises:
      UserError: this is no run directory.
      OSError: it cannot be written.
    """
    directory = pathlib.Path(directory)
    rundir.check_open(directory)
    path = directory / rundir.REPORT
    files.write_text(path, report(Record(directory)))
    return path


def report(record: Record) -> str:
    """The page of a run, as HTML."""
    sections = [
        story.verdict(record),
        story.trouble(record),
        curves.section(record),
        related.seeds(record),
        classes.section(record),
        certainty.section(record),
        gallery.section(record),
        cost.section(record),
        related.data(record),
        settings.section(record),
        story.origin(record),
        story.commands(record),
    ]
    living = record.standing.status == 'running'
    return page(
        str(record.config.get('name', record.directory.name)),
        sections,
        kicker=str(record.directory),
        badge=story.badge(record),
        reload=RELOAD if living else None,
    )
