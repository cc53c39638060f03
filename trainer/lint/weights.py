"""Weights that a config begins with and that are not there; reads none of them.

No mistake of the config as such: a run remembers what it needs of its weights, and goes
on and is scored without their file.
"""

import pathlib
from collections.abc import Iterator

from models.pretrained.downloads import is_remote
from trainer import rundir, which_run
from trainer.errors import UserError
from trainer.lint.config import Config
from trainer.lint.finding import Finding
from trainer.lint.nearest import nearest
from trainer.lint.values import filled
from trainer.registry import shelf

PARAMETER = ('models.net.Net', 'pretrained')


def absent(config: Config) -> Iterator[Finding]:
    """A finding for each file or run that `Net.pretrained` names in vain."""
    for binding in config:
        if config.key(binding)[1:] != PARAMETER:
            continue
        location, source = filled(binding.value, config), config.source(binding)
        if isinstance(location, str) and (wrong := _wrong(location)):
            reader = '' if source is binding else f' (read by {binding})'
            said = f'{source} = {location!r}{reader} {wrong}'
            yield Finding(source.place, said)


def _wrong(location: str) -> str:
    """What is wrong with a place of weights; '' where nothing is."""
    path = pathlib.Path(location).expanduser()
    if shelf.is_reference(location):
        return _unpublished(location)
    if is_remote(location) or path.is_file() or rundir.is_run(path):
        return ''
    if which_run.is_checkpoint(path):
        return ''
    return _instead(location)


def _unpublished(location: str) -> str:
    try:
        shelf.find(location)
    except UserError as error:
        return f'is not published: {error}'
    return ''


def _instead(location: str) -> str:
    path = pathlib.Path(location).expanduser()
    if path.is_dir():
        return 'is a directory, but no run; name a run or a weight file'
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    near = nearest(path.name, [other.name for other in beside])
    if near:
        return f"is not there; did you mean '{path.with_name(near)}'?"
    return (
        'is not there; name a file, a run, a published NAME@VERSION, '
        'hf://owner/repository/file or https://...'
    )
