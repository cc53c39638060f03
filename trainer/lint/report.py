"""All findings about a config at once, and the text that `check` prints."""

import dataclasses
from collections.abc import Sequence

from trainer.lint import (
    complaints,
    documents,
    packages,
    rooms,
    scores,
    spaces,
    splits,
    usage,
    values,
    weights,
)
from trainer.lint.config import Config
from trainer.lint.finding import COMMAND_LINE, Finding, Place
from trainer.lint.spelling import spell
from trainer.lint.statements import Binding


@dataclasses.dataclass(frozen=True)
class Examination:
    """A config as read, and everything there is to say about it.

    Attributes:
      findings: in the order of the files and their lines.
      config: the bindings that hold.
      used: those of them that a run reads.
      imports: the lines that import modules, as gin writes them.
      place: of what nothing binds: the last file.
    """

    findings: list[Finding]
    config: Config
    used: set
    imports: list[str]
    place: Place

    @property
    def errors(self) -> list[Finding]:
        """The findings that keep the config from running."""
        return [f for f in self.findings if f.severity == 'error']


def findings(files: Sequence[str], bindings: Sequence[str] = ()) -> list[Finding]:
    """Every mistake in gin files and bindings, found without building anything.

    Args:
      files: paths, seen from here or from the repository; later ones win.
      bindings: such as 'EPOCHS = 5'; they win over files, later ones over earlier.
    """
    return examine(files, bindings).findings


def examine(files: Sequence[str], bindings: Sequence[str] = ()) -> Examination:
    """Reads a config and checks it."""
    rooms.import_rooms()
    reading = documents.read(files, bindings)
    failed = rooms.import_modules(reading.imports)
    place = Place(reading.files[-1], 1) if reading.files else Place(COMMAND_LINE)
    said, config, used = _said(reading, not failed, place)
    found = [*reading.findings, *failed, *said]

    def errors(more: Sequence[Binding]) -> set[str]:
        tried = dataclasses.replace(reading, bindings=[*reading.bindings, *more])
        about = _said(tried, not failed, place)[0]
        return {one.message for one in about if one.severity == 'error'}

    found += spaces.unfit(config, errors)
    imports = list(dict.fromkeys(statement.text for statement in reading.imports))
    ordered = _in_order(found, reading)
    return Examination(ordered, config, used.used, imports, place)


def _said(
    reading: documents.Reading, complete: bool, place: Place
) -> tuple[list[Finding], Config, usage.Usage]:
    """What there is to say about bindings, those that hold, and what they use."""
    spelling = spell(reading.bindings, reading.complete and complete)
    single, doubled = complaints.doubled(spelling.bindings)
    config = Config(single)
    used = usage.usage(config)
    found = [*spelling.findings, *doubled]
    found += values.unfit(config)
    found += splits.unfit(used, config)
    found += complaints.circles(used)
    if reading.complete:
        found += complaints.lacking(used, place)
    if spelling.complete and not values.quotes_a_name(config):
        found += complaints.unused(single, config, used)
    return found, config, used


def _in_order(found: Sequence[Finding], reading: documents.Reading) -> list[Finding]:
    """Findings once each, file by file as read, the command line last."""
    order = [*dict.fromkeys(f.where.document for f in found), COMMAND_LINE]
    read = list(dict.fromkeys(b.place.document for b in reading.bindings))
    order = list(dict.fromkeys([*reading.files, *read, *order]))
    order.remove(COMMAND_LINE)
    order.append(COMMAND_LINE)
    once = dict.fromkeys(found)
    return sorted(once, key=lambda f: (order.index(f.where.document), f.where.line))


def check_report(
    files: Sequence[str], bindings: Sequence[str] = ()
) -> tuple[str, bool]:
    """What `check` prints about a config, and whether it may run.

    Returns:
      The findings, one a line, and a last line that counts them; True without errors.
    """
    from trainer.errors import UserError
    from trainer.experiment import describe, load

    examination = examine(files, bindings)
    config = examination.config
    absent = [*weights.absent(config), *packages.absent(config)]
    lines = [*map(str, examination.findings), *map(str, absent)]
    try:
        experiment = load(files, bindings)
    except UserError as error:
        lines = list(dict.fromkeys([*lines, *str(error).splitlines()]))
    else:
        lines += map(str, scores.unknown(examination, experiment))
    count = sum(': info: ' not in line for line in lines)
    if count:
        return '\n'.join([*lines, _count(count)]), False
    what = f'{experiment.name}: no mistakes in {len(describe(experiment))} values'
    return '\n'.join([*lines, what]), True


def _count(number: int) -> str:
    return '1 mistake' if number == 1 else f'{number} mistakes'
