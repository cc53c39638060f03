"""Examples packed once into a file, uncompressed, to be read by index ever after.

One read at a known place gives an example: a quarter of the time that an array_record
takes, whose blocks and hashes cost as much again as to crop and resize. A file is
written beside its place and moved there when it is whole, so that nobody ever sees half
of one. Knows arrays by name; not what they mean.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import marshal
import math
import os
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from trainer.data.source import digest
from trainer.errors import TrainingFailed, UserError
from trainer.screen import say, warn

VERSION = 3  # of what transforms and records are like
RECORDS, INDEX, FACTS = 'examples.bin', 'index.bin', 'facts.json'
AHEAD = 256  # examples that threads read while others are written


class Packed:
    """What `pack` has written: `packed[i]` is the example that was read; picklable.

    Args:
      directory: of the pack.

    Raises:
      ValueError: it is not whole.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        facts = json.loads((directory / FACTS).read_text())
        records = directory / RECORDS
        if records.stat().st_size != facts['bytes']:
            raise ValueError(f'{records.stat().st_size} bytes, not {facts["bytes"]}')
        self.index = np.fromfile(directory / INDEX, '<u8').reshape(-1, 2)
        if len(self.index) != facts['examples'] + 1:
            raise ValueError(f'{len(self.index)} places for {facts["examples"]}')

    def __len__(self):
        return len(self.index) - 1

    def __getitem__(self, index: int) -> dict:
        """Raises TrainingFailed where the file was damaged since it was packed."""
        try:
            start, expected = self.index[index].tolist()
            record = os.pread(self._file, int(self.index[index + 1, 0]) - start, start)
            if _sum(record) != expected:
                raise ValueError('its checksum differs')
            return _decode(record)
        except (OSError, ValueError) as error:
            raise TrainingFailed(
                f'{self.directory} is damaged (example {index}: '
                f'{" ".join(str(error).split())[:80]}); delete it, and it is made anew.'
            ) from error

    def __getstate__(self):
        return {'directory': self.directory, 'index': self.index}

    @functools.cached_property
    def _file(self):
        file = os.open(self.directory / RECORDS, os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        return file


def open_packed(root: str | os.PathLike, key: str, reader) -> Packed:
    """The pack of this key below `root`; packs what `reader` gives if there is none.

    Args:
      root: folder of all packs; made if need be.
      key: says what the examples are, see `pack_key`.
      reader: examples by index; anything but a numpy array becomes one.

    Raises:
      UserError: the pack cannot be written.
    """
    directory = pathlib.Path(root).expanduser().absolute() / key
    try:
        return Packed(directory)
    except (OSError, ValueError, KeyError) as error:
        if directory.exists():
            warn(f'{directory} is damaged ({error}); packing anew')
            shutil.rmtree(directory, ignore_errors=True)
    try:
        _pack(directory, reader)
        return Packed(directory)
    except OSError as error:
        raise UserError(
            f'Examples cannot be packed into {directory}: {error.strerror}; set '
            f'Images.cache_dir to another folder, or Images.cache to another kind.'
        ) from error


def pack_key(fingerprint: str, transforms: Sequence[Callable], on_error: str) -> str:
    """Changes with the data and with whatever is done to it before it is packed."""
    return digest(VERSION, fingerprint, on_error, list(map(_describe, transforms)))[:24]


def written_at(source) -> str:
    """Changes when a file of an example is written anew, be it of the same size.

    Args:
      source: examples, with the `files` of each.
    """
    found = hashlib.sha256()
    for file in itertools.chain.from_iterable(map(source.files, range(len(source)))):
        with contextlib.suppress(OSError):
            found.update(b'%d ' % os.stat(file).st_mtime_ns)
    return found.hexdigest()


def _describe(transform):
    """A transform's name and settings, or its code."""
    if isinstance(transform, functools.partial):
        return [_describe(transform.func), repr((transform.args, transform.keywords))]
    if dataclasses.is_dataclass(transform):
        return repr(transform)
    code = getattr(transform, '__code__', None) or type(transform).__call__.__code__
    bytecode = marshal.dumps(code, 2)  # later versions depend on reference counts
    closure = getattr(transform, '__closure__', None) or ()
    held = [cell.cell_contents for cell in closure]
    return [hashlib.sha256(bytecode).hexdigest(), repr((held, vars(transform)))]


def _pack(directory, reader):
    say(f'packing {len(reader):,} examples into {directory}, once')
    directory.parent.mkdir(parents=True, exist_ok=True)
    new = pathlib.Path(tempfile.mkdtemp(prefix='unfinished_', dir=directory.parent))
    try:
        index = _write(new / RECORDS, reader)
        index.tofile(new / INDEX)
        facts = {'examples': len(reader), 'bytes': int(index[-1, 0])}
        (new / FACTS).write_text(json.dumps(facts))
        for name in (RECORDS, INDEX, FACTS):
            with open(new / name, 'rb') as file:
                os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # another run was faster: its pack will do
            new.rename(directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write(path, reader) -> np.ndarray:
    """Where each record begins and its checksum, [N + 1, 2]; the last is the end."""
    index, end = [], 0
    with open(path, 'wb') as file:
        for record in map(_encode, _read_all(reader)):
            file.write(record)
            index.append((end, _sum(record)))
            end += len(record)
    return np.array([*index, (end, 0)], '<u8')


def _sum(record: bytes) -> int:
    """Of the 64-bit words and of what is left over: one flipped bit changes it."""
    words = len(record) // 8
    rest = int.from_bytes(record[8 * words :], 'little')
    return (int(np.frombuffer(record, '<u8', words).sum()) + rest) % 2**64


def _read_all(reader):
    indices = iter(range(len(reader)))
    with ThreadPoolExecutor(min(8, os.cpu_count())) as threads:
        while chunk := list(itertools.islice(indices, AHEAD)):
            yield from threads.map(reader.__getitem__, chunk)


def _encode(example) -> bytes:
    """A line of JSON that says what follows, and the arrays' bytes."""
    arrays = {key: np.asarray(value) for key, value in example.items()}
    head = {key: [a.dtype.str, a.shape] for key, a in arrays.items()}
    body = b''.join(np.ascontiguousarray(a).tobytes() for a in arrays.values())
    return json.dumps(head).encode() + b'\n' + body


def _decode(record) -> dict:
    offset = record.index(b'\n') + 1
    example = {}
    for key, dtype, shape, count in _fields(record[:offset]):
        example[key] = np.frombuffer(record, dtype, count, offset).reshape(shape)
        offset += example[key].nbytes
    return example


@functools.lru_cache(256)  # most examples of a pack have the same
def _fields(head: bytes) -> list[tuple[str, np.dtype, tuple[int, ...], int]]:
    """Of each array its name, type, shape and number of elements."""
    return [
        (key, np.dtype(dtype), tuple(shape), math.prod(shape))
        for key, (dtype, shape) in json.loads(head).items()
    ]
