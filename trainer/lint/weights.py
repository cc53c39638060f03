"""Weights that a config begins with and that are not there; reads none of them.

No mistake of the config as such: a run remembers what it needs of its weights, and goes
on and is scored without their file.
"""

import pathlib
from collections.abc import Iterator

from models.pretrained.downloads import is_remote
from trainer import rundir
from trainer.lint.config import Config
from trainer.lint.finding import Finding
from trainer.lint.nearest import nearest
from trainer.lint.values import filled

PARAMETER = ('models.net.Net', 'pretrained')


def absent(config: Config) -> Iterator[Finding]:
    """A finding for each file or run that `Net.pretrained` names in vain."""
    for binding in config:
        if config.key(binding)[1:] != PARAMETER:
            continue
        location, source = filled(binding.value, config), config.source(binding)
        if isinstance(location, str) and not _is_there(location):
            reader = '' if source is binding else f' (read by {binding})'
            said = f'{source} = {location!r}{reader} {_instead(location)}'
            yield Finding(source.place, said)


def _is_there(location: str) -> bool:
    path = pathlib.Path(location).expanduser()
    return is_remote(location) or path.is_file() or rundir.is_run(path)


def _instead(location: str) -> str:
    path = pathlib.Path(location).expanduser()
    if path.is_dir():
        return 'is a directory, but no run; name a run or a weight file'
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    near = nearest(path.name, [other.name for other in beside])
    if near:
        return f"is not there; did you mean '{path.with_name(near)}'?"
    return 'is not there; name a file, a run, hf://owner/repository/file or https://...'
