"""Examples packed once into a file, uncompressed, to be read by index ever after.

A file is written beside its place and moved there when it is whole, so that nobody ever
sees half of one. Knows arrays by name; not what they mean.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import marshal
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from trainer.data.source import digest
from trainer.errors import TrainingFailed, UserError
from trainer.screen import say, warn

VERSION = 2  # of what transforms and records are like
RECORDS, FACTS = 'examples.array_record', 'facts.json'
OPTIONS = 'group_size:1,uncompressed'
AT_RANDOM = 'readahead_buffer_size:0'  # what follows a record is not read next
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
        self.num_examples = facts['examples']

    def __len__(self):
        return self.num_examples

    def __getitem__(self, index: int) -> dict:
        """Raises TrainingFailed where the file was damaged since it was packed."""
        try:
            return _decode(self._reader.read([int(index)])[0])
        except Exception as error:  # whatever a broken record makes its reader raise
            raise TrainingFailed(
                f'{self.directory} is damaged (example {index}: '
                f'{" ".join(str(error).split())[:80]}); delete it, and it is made anew.'
            ) from error

    def __getstate__(self):
        return {'directory': self.directory, 'num_examples': self.num_examples}

    @functools.cached_property
    def _reader(self):
        return ArrayRecordReader(str(self.directory / RECORDS), options=AT_RANDOM)


def open_packed(root: str | os.PathLike, key: str, reader) -> Packed:
    """The pack of this key below `root`; packs what `reader` gives if there is none.

    Args:
      root: folder of all packs; made if need be.
      key: says what the examples are, see `pack_key`.
      reader: examples by index; anything but a numpy array becomes one.

    Raises:
      UserError: the pack cannot be written.
    """
    directory = pathlib.Path(root).absolute() / key
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
        records = str(new / RECORDS)
        writer = ArrayRecordWriter(records, OPTIONS)
        for example in _read_all(reader):
            writer.write(_encode(example))
        writer.close()
        facts = {'examples': len(reader), 'bytes': os.path.getsize(records)}
        (new / FACTS).write_text(json.dumps(facts))
        for name in (RECORDS, FACTS):
            with open(new / name, 'rb') as file:
                os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # another run was faster: its pack will do
            new.rename(directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)


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
    head, _, body = record.partition(b'\n')
    example, offset = {}, 0
    for key, (dtype, shape) in json.loads(head).items():
        count = int(np.prod(shape))
        example[key] = np.frombuffer(body, dtype, count, offset).reshape(shape)
        offset += example[key].nbytes
    return example
