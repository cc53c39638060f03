"""One process after another in a folder: each waits for its turn.

A run that holds a directory for hours and refuses others is `lock.py`.
"""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from trainer.lock import NO_LOCKS


@contextlib.contextmanager
def turn(folder: pathlib.Path) -> Iterator[bool]:
    """Waits until no other process is in here; False where there are no locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        alone = True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        alone = False
    try:
        yield alone
    finally:
        os.close(descriptor)
