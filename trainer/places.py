"""Where a user's things lie on this machine: the cache, and runs that have an address.

Knows what an address is, such as `gs://bucket/run`; opens none, and imports nothing.
"""

import hashlib
import os
import pathlib
import re

SCHEME = '://'
SAME = {'gcs': 'gs', 's3a': 's3', 'local': 'file'}  # two names of one scheme


def cache_directory() -> pathlib.Path:
    """`$JUNIPER_CACHE`, else `~/.cache/juniper`."""
    given = os.environ.get('JUNIPER_CACHE')
    return pathlib.Path(given or '~/.cache/juniper').expanduser().absolute()


def mirrors_directory() -> pathlib.Path:
    """Where runs with an address live: `$JUNIPER_MIRRORS`, else in the cache."""
    given = os.environ.get('JUNIPER_MIRRORS')
    if not given:
        return cache_directory() / 'mirrors'
    return pathlib.Path(given).expanduser().absolute()


def is_address(path: object) -> bool:
    """Whether a run directory is named by an address, such as a bucket's."""
    return SCHEME in str(path)


def normal(address: object) -> str:
    """An address as it is always written: one for each place."""
    scheme, _, rest = str(address).partition(SCHEME)
    scheme = SAME.get(scheme.lower(), scheme.lower())
    root = '/' if rest.startswith('/') else ''
    return f'{scheme}{SCHEME}{root}{"/".join(filter(None, rest.split("/")))}'


def local(path: str | os.PathLike) -> pathlib.Path:
    """A path itself; of an address, the directory where its run lives here."""
    if not is_address(path):
        return pathlib.Path(path)
    address = normal(path)
    readable = re.sub(r'[^A-Za-z0-9.-]+', '_', address)[:80].strip('_')
    own = hashlib.sha256(address.encode()).hexdigest()[:8]
    return mirrors_directory() / f'{readable}-{own}'
