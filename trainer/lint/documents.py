"""Finds gin files and reads them in order, includes and all; knows paths, not names."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from trainer.lint.finding import COMMAND_LINE, Finding, Place
from trainer.lint.nearest import nearest
from trainer.lint.recovery import read_text
from trainer.lint.statements import Binding, Import, Include

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Reading:
    """What some files and command-line bindings say, in the order in which they do.

    Attributes:
      complete: False where a file could not be read, so that what seems to be missing
        or unused may stand there.
    """

    files: tuple[str, ...]
    bindings: list[Binding] = dataclasses.field(default_factory=list)
    imports: list[Import] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    complete: bool = True
    count: int = 0


def read(files: Sequence[str], bindings: Sequence[str] = ()) -> Reading:
    """Reads files, what they include, and bindings; never raises for their content."""
    reading = Reading(tuple(map(str, files)))
    for file in reading.files:
        _read_file(file, Place(COMMAND_LINE), (), reading)
    for text in bindings:
        _add(text, COMMAND_LINE, (), reading)
    return reading


def find(path: str, nearby: Sequence[pathlib.Path] = ()) -> pathlib.Path | None:
    """The file at a path seen from here, from the repository, or from `nearby`."""
    given = pathlib.Path(path)
    places = [pathlib.Path.cwd(), REPOSITORY, *nearby]
    candidates = [given] if given.is_absolute() else [at / given for at in places]
    return next((found for found in candidates if _is_file(found)), None)


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _read_file(path: str, asked: Place, within: tuple, reading: Reading) -> None:
    nearby = [file.parent for _, file in within[-1:]]
    found = find(path, nearby)
    if found is None:
        _refuse(reading, asked, _not_found(path))
        return
    real = found.resolve()
    if any(real == file for _, file in within):
        chain = ' -> '.join([*(name for name, _ in within), path])
        _refuse(reading, asked, f"include '{path}' goes round in a circle: {chain}")
        return
    try:
        text = found.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        _refuse(reading, asked, f'{path} cannot be read as text: {error}')
        return
    _add(text, path, (*within, (path, real)), reading)


def _add(text: str, document: str, within: tuple, reading: Reading) -> None:
    statements, findings = read_text(text, document)
    reading.findings += findings
    reading.count += 1
    number = reading.count
    for statement in statements:
        if isinstance(statement, Include):
            _read_file(statement.path, statement.place, within, reading)
        elif isinstance(statement, Import):
            reading.imports.append(statement)
        else:
            numbered = dataclasses.replace(statement, reading=number)
            reading.bindings.append(numbered)


def _refuse(reading: Reading, place: Place, message: str) -> None:
    reading.findings.append(Finding(place, message))
    reading.complete = False


def _not_found(path: str) -> str:
    places = [os.path.join(at, path) for at in ('', REPOSITORY)]
    folder = next(filter(os.path.isdir, places), None)
    if folder is not None:
        names = sorted(file.name for file in pathlib.Path(folder).glob('*.gin'))
        there = f', such as {", ".join(names[:3])}' if names else ', a .gin'
        return f"'{path}' is a directory; name a file in it{there}"
    searched = dict.fromkeys([str(pathlib.Path.cwd()), str(REPOSITORY)])
    where = '' if pathlib.Path(path).is_absolute() else f' in {" or ".join(searched)}'
    configs = (REPOSITORY / 'configs').glob('**/*.gin')
    known = sorted(str(file.relative_to(REPOSITORY)) for file in configs)
    known.sort(key=lambda file: file.count('/'))
    beside = pathlib.Path(path).parent
    known += [str(p) for p in beside.glob('*.gin')] if beside.is_dir() else []
    by_stem = {pathlib.Path(config).stem: config for config in reversed(known)}
    stem = nearest(pathlib.Path(path).stem, by_stem)
    close = by_stem[stem] if stem else nearest(path, known)
    advice = (
        f"; did you mean '{close}'?" if close else f'; there are {", ".join(known)}'
    )
    return f"there is no file '{path}'{where}{advice}"
