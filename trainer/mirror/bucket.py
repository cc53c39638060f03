"""Objects under one address: read, written and deleted whole, through fsspec.

The only room that touches fsspec. Promises of a bucket what every bucket keeps: an
object appears whole or not at all. Knows nothing of runs.
"""

import contextlib
import glob
import os
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from trainer import places
from trainer.errors import UserError

AT_ONCE = 4  # objects on their way
SECONDS = 60  # for an answer, and beside it for the bytes of a file
SLOWEST = 2**17  # bytes a second
ATTEMPTS = 3  # of reads and of the first write
PARTIAL = '.partial'  # on a disk: what is not whole yet
FINAL = (
    FileNotFoundError,
    PermissionError,
    NotImplementedError,
    TimeoutError,
    ValueError,
)
LOG_IN = {
    'gs': 'log in (gcloud auth application-default login) and name a bucket that '
    'exists',
    's3': 'give credentials (aws configure) and name a bucket that exists',
}


class BucketError(Exception):
    """An object could not be read or written; the message says why in a few words."""

    def __init__(self, error: Exception):
        super().__init__(_reason(error))
        self.final = isinstance(error, FINAL)


class Bucket:
    """The objects whose names begin with an address."""

    def __init__(self, address: str):
        """Opens no connection yet.

        Raises:
          UserError: there is no such kind of address, it names no one place, or its
            package is missing.
        """
        self.address = places.normal(address)
        if glob.has_magic(self.address):
            raise UserError(f'{self.address} is a pattern; an address names one run.')
        self.is_disk = self.address.startswith('file:')
        self._files, root = _opened(self.address, self.is_disk)
        self._root = root.rstrip('/')
        if not self._root:
            raise UserError(f'{self.address} names no place; add a bucket and a name.')

    def read(self, name: str) -> bytes | None:
        """An object; None where there is none.

        Raises:
          BucketError: it cannot be read.
        """
        try:
            return _within(SECONDS, lambda: self._files.cat_file(self._path(name)))
        except BucketError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def write(self, name: str, content: bytes) -> None:
        """Replaces an object. Raises BucketError: the old one is still there."""
        self._put(name, lambda path: self._files.pipe_file(path, content), len(content))

    def upload(self, source: pathlib.Path, name: str) -> None:
        """Replaces an object by what a file holds. Errors as of `write`."""
        size = source.stat().st_size
        self._put(name, lambda path: self._files.put_file(str(source), path), size)

    def download(self, name: str, target: pathlib.Path, size: int = 0) -> None:
        """Writes an object into a file. Raises BucketError: it cannot be read."""
        path = self._path(name)
        seconds = SECONDS + size / SLOWEST
        _within(seconds, lambda: self._files.get_file(path, str(target)))

    def remove(self, name: str) -> None:
        """Deletes an object, where it is there. Raises BucketError."""
        path = self._path(name)

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._files.rm_file(path)
            if self.is_disk:
                with contextlib.suppress(OSError):  # not empty
                    os.rmdir(os.path.dirname(path))

        _within(SECONDS, remove)

    def names(self) -> list[str]:
        """All objects. Raises BucketError: they cannot be listed."""

        def find() -> list[str]:
            try:
                return self._files.find(self._root)
            except FileNotFoundError:
                return []

        found = _within(SECONDS, find)
        below = (path.removeprefix(self._root).lstrip('/') for path in found)
        return sorted(name for name in below if name and not name.endswith(PARTIAL))

    def _path(self, name: str) -> str:
        return f'{self._root}/{name}'

    def _put(self, name: str, put: Callable[[str], object], size: int) -> None:
        path = self._path(name)

        def put_whole() -> None:
            if not self.is_disk:
                put(path)
                return
            put(path + PARTIAL)  # a file grows before one's eyes, an object does not
            self._files.mv(path + PARTIAL, path)

        _within(SECONDS + size / SLOWEST, put_whole)


def in_parallel(work: Callable, items: Iterable) -> list:
    """What `work` makes of each item, several at once; raises the first error."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix='mirror') as pool:
        return list(pool.map(work, items))


def retried(work: Callable, attempts: int = ATTEMPTS, pause: float = 1):
    """What `work` gives, tried again after 1, 2, 4 ... s where that may help.

    Raises:
      BucketError: of the last attempt.
    """
    for attempt in range(attempts):
        try:
            return work()
        except BucketError as error:
            if error.final or attempt == attempts - 1:
                raise
        time.sleep(pause * 2**attempt)
    raise AssertionError('unreachable: the last attempt raises')


def advice(address: str) -> str:
    """What to do where an address cannot be used."""
    scheme = address.partition(places.SCHEME)[0]
    mend = LOG_IN.get(scheme, 'see that it is there and that you may write to it')
    return f'{mend[0].upper()}{mend[1:]}, or give a local --workdir.'


def _within(seconds: float, work: Callable):
    """What `work` gives; a server that does not answer is waited for no longer.

    Raises:
      BucketError: from whatever went wrong.
    """
    results = queue.SimpleQueue()

    def put() -> None:
        try:
            results.put((work(), None))
        except Exception as error:
            results.put((None, error))

    threading.Thread(target=put, daemon=True, name='bucket').start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        result, error = None, TimeoutError(f'no answer within {seconds:.0f} s')
    if error is not None:
        raise BucketError(error) from error
    return result


def _opened(address: str, is_disk: bool) -> tuple:
    """The file system of fsspec and the path in it."""
    try:
        from fsspec.core import url_to_fs

        options = {'auto_mkdir': True} if is_disk else {}
        return url_to_fs(address, use_listings_cache=False, **options)
    except ImportError as error:
        raise UserError(
            f'{address} needs a package that is not installed ({error}): pip install '
            f'-r requirements-cloud.txt, or give a local --workdir.'
        ) from error
    except ValueError as error:
        raise UserError(
            f'{address} is no address that is known ({error}); those of Google Cloud '
            f'begin with gs://, of S3 with s3://.'
        ) from error
    except Exception as error:
        raise UserError(
            f'{address} cannot be used: {_reason(error)}. {advice(address)}'
        ) from error


def _reason(error: Exception) -> str:
    """An error in a few words on one line."""
    if isinstance(error, OSError) and error.errno:
        known = error.strerror == os.strerror(error.errno)
        return error.strerror.lower() if known else str(error.strerror)[:160]
    words = ' '.join(str(error).split())
    return f'{type(error).__name__}: {words[:120]}' if words else type(error).__name__
