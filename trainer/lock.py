"""One run at a time in a directory, which must be writable.

The kernel holds the lock and lets it go when its process ends, however that happens; a
small file beside it says who that is. Knows nothing of what a run keeps there.
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator

from trainer import processes
from trainer.errors import TrainingFailed, UserError

LOCK_FILE = '.lock'
SEEN_SECONDS = 30  # until a network disk shows what another machine wrote
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)  # some network file systems


class RunLock(contextlib.AbstractContextManager):
    """Holds a run directory from `with` to its end, or to the end of the process."""

    def __init__(self, directory: str | os.PathLike):
        """Names the directory; nothing is taken before `acquire` or `with`."""
        self.path = pathlib.Path(directory) / LOCK_FILE
        self._file: int | None = None

    def acquire(self) -> None:
        """Takes the lock; one left behind by a killed process is taken over.

        Raises:
          UserError: another run holds it (names host, process and since when), or the
            directory does not exist or cannot be written.
        """
        file = _open(self.path)
        try:
            self._take(file)
            _write(file, lease())
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def release(self) -> None:
        """Lets the lock go; the empty file stays, as removing it would let two in."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> 'RunLock':
        self.acquire()
        return self

    def __exit__(self, *error) -> None:
        """Raises TrainingFailed: the directory is gone, whatever else went wrong."""
        try:
            check_there(self.path.parent)
        finally:
            self.release()

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._taken(_read(file)) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            holder = _read(file)
            if holder and not is_gone(holder):
                raise self._taken(holder) from None

    def _taken(self, holder: dict) -> UserError:
        who = (
            f'process {holder["pid"]} on {holder["host"]} since {holder["since"]}'
            if holder
            else 'another process'
        )
        return UserError(
            f'{self.path.parent} is in use by {who}. Wait for that run or stop it, or '
            f'give another --workdir.'
        )


@contextlib.contextmanager
def locked(directory: str | os.PathLike) -> Iterator[None]:
    """Holds a run directory for all processes of a run, each of which must see it.

    Raises:
      UserError: another run holds it, or a process sees another directory there.
    """
    lock = RunLock(directory) if processes.is_main() else contextlib.nullcontext()
    with lock:
        seen = processes.gather(_sees(pathlib.Path(directory) / LOCK_FILE))
        blind = [index for index, sees in enumerate(seen) if not sees]
        if blind:
            raise UserError(
                f'{directory} on the machine of process {blind[0]} is not that of '
                f'process 0; give a --workdir (of an address, $JUNIPER_MIRRORS) on a '
                f'disk that all machines share.'
            )
        yield


def _sees(path: pathlib.Path) -> bool:
    """Whether process 0's lease is there, as soon as a network disk shows it."""
    lease = processes.told(_lease_in(path))
    deadline = time.monotonic() + SEEN_SECONDS
    while _lease_in(path) != lease and time.monotonic() < deadline:
        time.sleep(0.1)
    return _lease_in(path) == lease


def _lease_in(path: pathlib.Path) -> dict | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def holder(directory: str | os.PathLike) -> dict | None:
    """Who runs in a directory right now, as far as known; None if nobody does.

    Only a lock whose lease stands is tried: one that was let go in order has none.
    """
    try:
        file = os.open(pathlib.Path(directory) / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        lease = _read(file)
        if lease:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return lease
    except OSError:
        return None if is_gone(lease) else lease
    finally:
        os.close(file)


def is_left_behind(directory: str | os.PathLike) -> bool:
    """True where the last run was killed, and could not let its lock go."""
    path = pathlib.Path(directory) / LOCK_FILE
    return path.exists() and path.stat().st_size > 0 and holder(directory) is None


def check_there(directory: str | os.PathLike) -> None:
    """Raises TrainingFailed: a locked directory was deleted or moved under its run."""
    if not (pathlib.Path(directory) / LOCK_FILE).exists():
        raise TrainingFailed(
            f'{directory} was deleted or moved while its run went on; put it back, and '
            f'the same command goes on, or give another --workdir.'
        )


def check_writable(directory: str | os.PathLike) -> None:
    """Makes the directory where it is missing, and writes, renames and deletes a file.

    Raises:
      UserError: one of these is not possible; says why.
    """
    directory = pathlib.Path(directory)
    before, after = (directory / f'.probe-{os.getpid()}-{i}' for i in 'ab')
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with before.open('wb') as file:
                file.write(b'probe')
                file.flush()
                os.fsync(file.fileno())
            before.rename(after)
        finally:
            before.unlink(missing_ok=True)
            after.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from error


def _open(path: pathlib.Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(directory: pathlib.Path, error: OSError) -> UserError:
    return UserError(
        f'{directory} cannot be written: {os.strerror(error.errno)}. Give a --workdir '
        f'where you may write and where there is room.'
    )


def lease() -> dict:
    """This process, for others: host, start of the machine, number, since when."""
    since = datetime.datetime.now().astimezone().isoformat(timespec='seconds')
    here = {'host': socket.gethostname(), 'boot': _boot()}
    return here | {'pid': os.getpid(), 'since': since}


def _boot() -> str | None:
    """Tells this start of the machine from any other; None where Linux does not say."""
    try:
        return pathlib.Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    except OSError:
        return None


def _write(file: int, lease: dict) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(lease).encode(), 0)
    os.fsync(file)


def _read(file: int) -> dict:
    """Who holds the lock; empty if that has not been written yet."""
    try:
        lease = json.loads(os.pread(file, 4096, 0))
    except ValueError:
        return {}
    return lease if {'host', 'pid', 'since'} <= set(lease) else {}


def is_gone(holder: dict) -> bool:
    """True if the process ran on this host and is no longer there.

    After another start of the machine its number may be somebody else's.
    """
    if holder['host'] != socket.gethostname():
        return False
    if holder.get('boot') not in (None, _boot()):
        return True
    try:
        os.kill(holder['pid'], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # there, and another user's
    return False
