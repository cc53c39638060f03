"""The registry: trained nets under a name and a semantic version, for good.

    registry.publish('runs/resnet18_20260101_120000', 'digits', '1.0.0')
    model = registry.load('digits', '^1')

Importing this imports no JAX; what a version is on the disk is `shelf.py`.
"""

import os
from typing import TYPE_CHECKING

from trainer.registry.shelf import LATEST, Published, find, listed

if TYPE_CHECKING:
    from trainer.registry.model import Model

__all__ = ['Published', 'find', 'listed', 'load', 'publish']


def publish(
    directory: str | os.PathLike,
    name: str,
    version: str,
    *,
    note: str = '',
    licence: str = '',
    checkpoint: str = 'best',
    root: str | os.PathLike | None = None,
) -> Published:
    """Keeps a run's net at one checkpoint under a name and version, which never change.

    Args:
      directory: the run's, or a glob whose newest run is meant.
      name: letters, digits, '.', '_' and '-'.
      version: MAJOR.MINOR.PATCH of Semantic Versioning 2.0.0 (semver.org), with a
        pre-release such as '1.0.0-rc.1' where one is meant.
      note: one line for people.
      licence: of the data, as whoever publishes it says.
      checkpoint: 'best', 'last' or a step.
      root: the registry; None is $JUNIPER_REGISTRY, else 'registry'.

    Raises:
      UserError: the name or version cannot be used or is taken, there is no such run or
        checkpoint, it is damaged, or the registry cannot be written. Nothing of the
        version is there then.
    """
    from trainer.registry.publishing import publish

    return publish(
        directory,
        name,
        version,
        note=note,
        licence=licence,
        checkpoint=checkpoint,
        root=root,
    )


def load(
    name: str, version: str = LATEST, root: str | os.PathLike | None = None
) -> 'Model':
    """A published model, every byte of it verified: images in, answers out.

    Args:
      name: under which it was published.
      version: one such as '1.0.0', 'latest', or the newest of a range such as '^1'.
      root: the registry; None is $JUNIPER_REGISTRY, else 'registry'.

    Raises:
      UserError: there is none of that name or version (says which there are), or it is
        not what was published (names the file).
    """
    from trainer.registry.model import open_model

    return open_model(find(f'{name}@{version}', root))
