"""Imports every room that registers names, and the user's own modules."""

import importlib
import pathlib
import pkgutil
import sys
from collections.abc import Sequence

from trainer.lint import allowed
from trainer.lint.finding import Finding
from trainer.lint.nearest import hint
from trainer.lint.statements import Import

ROOMS = (
    'models',
    'trainer.data.images',
    'trainer.transforms',
    'trainer.augment',
    'trainer.tasks',
    'trainer.optimizers',
    'trainer.schedules',
    'trainer.plateau',
    'trainer.descent',
    'trainer.hooks',
    'trainer.trackers',
    'trainer.profiler',
    'trainer.saver',
    'trainer.watchdog',
    'trainer.divergence',
    'trainer.selection',
    'trainer.search.space',
    'trainer.experiment',
)


def import_rooms() -> None:
    """Makes all names of Juniper known to gin."""
    for room in ROOMS:
        importlib.import_module(room)


def import_modules(imports: Sequence[Import]) -> list[Finding]:
    """Imports what `import` lines name; a finding for each that cannot be."""
    if imports:
        _look_here()
    findings = []
    for statement in imports:
        message = allowed.refusal(statement.module) or _import(statement)
        if message:
            findings.append(Finding(statement.place, message))
    return findings


def _look_here() -> None:
    """Lets a user's module lie in the current directory, wherever Juniper lies."""
    here = str(pathlib.Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()


def _import(statement: Import) -> str | None:
    module = statement.module
    if module.startswith('__gin__'):
        return f"'{statement.text}': import the module that registers the name instead"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f'{module}.'.startswith(f'{error.name}.'):
            return f'import {module} fails: {error}'
        return _no_module(module, error.name)
    except Exception as error:
        return f'import {module} fails: {type(error).__name__}: {_first(error)}'
    return None


def _no_module(module: str, missing: str) -> str:
    parent, _, last = missing.rpartition('.')
    try:
        path = importlib.import_module(parent).__path__ if parent else None
        known = [info.name for info in pkgutil.iter_modules(path)]
    except Exception:
        known = []
    near = hint(last, known) if len(known) > 20 or parent else ''
    return f'import {module}: no module {missing} here or where Python looks{near}'


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    where = ''
    if isinstance(error, SyntaxError) and error.filename:
        where = f' ({pathlib.Path(error.filename).name}:{error.lineno})'
    return (lines[0] if lines else '') + ('' if '(' in str(error) else where)
