"""Writers that a config names and whose packages are not installed; imports none.

No mistake of the config as such: a run warns, and goes on without the writer.
"""

from collections.abc import Iterator

from trainer.lint import names
from trainer.lint.config import Config
from trainer.lint.finding import Finding
from trainer.lint.statements import Reference, walk
from trainer.lint.values import filled
from trainer.trackers.packages import missing

PARAMETER = (names.ROOT, 'writers')


def absent(config: Config) -> Iterator[Finding]:
    """A finding for each writer in `Experiment.writers` that lacks its package."""
    for binding in config:
        if config.key(binding)[1:] != PARAMETER:
            continue
        place = config.source(binding).place
        for item in walk(filled(binding.value, config)):
            lack = _lack(item) if isinstance(item, Reference) else None
            if lack:
                yield Finding(place, lack)


def _lack(reference: Reference) -> str | None:
    full = names.matching(reference.name)
    return missing(names.target(full[0])) if len(full) == 1 else None
