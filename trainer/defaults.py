"""What each value of a config would be if only `configs/base.gin` had spoken.

Reads signatures and that one file; builds nothing.
"""

import inspect
import pathlib
from collections.abc import Mapping

from trainer import files, rundir
from trainer.description import described
from trainer.lint import documents, names
from trainer.lint.statements import Binding, Reference, parse
from trainer.source import Source

BASE = 'configs/base.gin'


def write_source(
    directory: pathlib.Path, source: Source, config: Mapping[str, object]
) -> None:
    """Writes the gin texts of a run, and origins.json: who said each value.

    Args:
      directory: the run's.
      source: what `load` has read.
      config: what `describe` gives.
    """
    files.write_text(directory / rundir.CONFIG_GIN, source.config_gin)
    files.write_text(directory / rundir.OPERATIVE_GIN, source.operative_gin)
    told = {'origins': source.origins, 'defaults': defaults_of(config)}
    files.write_json(directory / rundir.ORIGINS, told)


def defaults_of(config: Mapping[str, object]) -> dict[str, object]:
    """By the keys of `describe`, for as many of its values as have a default.

    Args:
      config: what `describe` gives.
    """
    said, found = base_bindings(), {}
    for key in config:
        parent, _, name = key.rpartition('.')
        title = str(config.get(parent) if parent else '@Experiment').removeprefix('@')
        if f'{title}.{name}' in said:
            found[key] = said[f'{title}.{name}']
            continue
        default = _default(title, name)
        if default is not inspect.Parameter.empty:
            found |= {k: v for k, v in described(key, default).items() if k in config}
    return found


def base_bindings() -> dict[str, object]:
    """What the base config binds: {'adamw.clip_norm': 1.0, ...}."""
    path = documents.find(BASE)
    if path is None:
        return {}
    found = [s for s in parse(path.read_text(), BASE) if isinstance(s, Binding)]
    return {
        f'{one.name}.{one.parameter}': _plain(one.value)
        for one in found
        if not one.is_macro
    }


def _plain(value: object) -> object:
    return f'@{value.name}' if isinstance(value, Reference) else value


def _default(title: str, name: str) -> object:
    """The default in the signature of what is registered under a name."""
    full = names.matching(title) if title.isidentifier() else []
    parameters = names.signature(full[0]).parameters if len(full) == 1 else {}
    none = inspect.Parameter.empty
    return parameters[name].default if name in parameters else none
