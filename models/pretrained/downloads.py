"""Weights named by `hf://` or `https://` become files of this machine, fetched once.

Knows addresses and a folder; nothing of what is in the files.
"""

import hashlib
import os
import pathlib
import shutil
import urllib.error
import urllib.request
from urllib.parse import urlsplit

HUB = 'https://huggingface.co'  # $HF_ENDPOINT is used instead where it is set
SECONDS = 60  # without an answer
BESIDE = ('config.json', 'preprocessor_config.json')  # say what pictures are expected


def is_remote(location: str) -> bool:
    """Whether a location is an address, and no path."""
    return location.startswith(('hf://', 'https://', 'http://'))


def fetched(location: str) -> pathlib.Path:
    """A file of this machine: the path itself, or what an address leads to.

    Args:
      location: a path, 'hf://owner/repository/file' or 'https://...'; plain http is
        taken from this machine alone.

    Raises:
      ValueError: the address is none, or leads nowhere.
    """
    if not is_remote(location):
        return pathlib.Path(location).expanduser()
    address = _address(location)
    folder = _folder() / hashlib.sha256(address.encode()).hexdigest()[:16]
    file = folder / pathlib.PurePosixPath(urlsplit(address).path).name
    if not file.exists():
        _download(address, file)
        for name in BESIDE if location.startswith('hf://') else ():
            _try_download(f'{address.rpartition("/")[0]}/{name}', folder / name)
    return file


def _address(location: str) -> str:
    parts = urlsplit(location)
    if parts.scheme == 'hf':
        owner, _, rest = location.removeprefix('hf://').partition('/')
        repository, _, file = rest.partition('/')
        if not file:
            raise ValueError(
                f'{location} names no file; say hf://owner/repository/file.'
            )
        hub = os.environ.get('HF_ENDPOINT', HUB).rstrip('/')
        return f'{hub}/{owner}/{repository}/resolve/main/{file}'
    if parts.scheme == 'http' and parts.hostname not in ('localhost', '127.0.0.1'):
        raise ValueError(f'{location} is not encrypted; give an https:// address.')
    return location


def _folder() -> pathlib.Path:
    given = os.environ.get('JUNIPER_CACHE')
    return pathlib.Path(given or '~/.cache/juniper').expanduser() / 'weights'


def _try_download(address: str, file: pathlib.Path) -> None:
    try:
        _download(address, file)
    except ValueError:
        return  # not every repository has one


def _download(address: str, file: pathlib.Path) -> None:
    unfinished = file.with_name(f'.{file.name}.{os.getpid()}')
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            urllib.request.urlopen(address, timeout=SECONDS) as answer,
            unfinished.open('wb') as out,
        ):
            shutil.copyfileobj(answer, out)
        unfinished.replace(file)
    except (OSError, urllib.error.URLError) as error:
        raise ValueError(f'{address} cannot be fetched: {error}.') from error
    finally:
        unfinished.unlink(missing_ok=True)
