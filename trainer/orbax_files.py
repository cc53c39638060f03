"""A dictionary of arrays and a JSON manifest, in one directory, written by Orbax.

The only room that touches Orbax, and it is imported with the first save or load. Knows
what can go wrong on a disk; nothing of which checkpoint is wanted, or why.
"""

import errno
import functools
import logging
import os
import pathlib
import re
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator

import jax

from trainer import processes

TEMPORARY = '.orbax-checkpoint-tmp'
NOT_DAMAGE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def start_save(directory: pathlib.Path, arrays: dict[str, jax.Array], manifest: dict):
    """Copies the arrays and writes them in the background.

    `directory` (absolute) appears by an atomic rename when all is written. The arrays
    may be donated as soon as this returns. The free function is used, not Orbax's
    `Checkpointer`: that one lists steps from memory, and a save after a failed one
    raises the old error without saving (0.12.8).

    Returns:
      A future; its `result()` waits, and raises what went wrong.
    """
    orbax, context = _orbax()
    with orbax.Context(context):
        return orbax.save_async(directory, arrays, custom_metadata=manifest)


def load(directory: pathlib.Path, abstract: dict[str, jax.ShapeDtypeStruct]):
    """The arrays of a checkpoint, each placed as its struct says.

    Others that it has are not read; of one that it has not, the struct is returned.

    Raises:
      Exception: of any kind, where files are missing or broken.
    """
    orbax, context = _orbax()
    with _on_its_own(orbax, context):
        return orbax.load(directory, abstract, checkpointable_name='state')


def _on_its_own(orbax, context):
    """Each of several processes reads its parts and waits for no other.

    Orbax would have all meet after reading, where one that found damage never comes.
    """
    if processes.count() == 1:
        return orbax.Context(context)
    this = processes.index()
    alone = orbax.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}
    )
    return orbax.Context(context, multiprocessing_options=alone)


def remove_unfinished(directory: pathlib.Path, step: int | str = '*') -> None:
    """Deletes what an interrupted or failed save left behind."""
    for leftover in directory.glob(f'{step}{TEMPORARY}*'):
        shutil.rmtree(leftover, ignore_errors=True)


def disk_error(error: BaseException) -> int | None:
    """The errno that an exception, or one that led to it, carries, if any."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno:
            return cause.errno
        code = re.search(r"os_error_code='(\d+)'", str(cause))
        if code:
            return int(code[1])
    return None


def reason(error: BaseException) -> str:
    """What went wrong, in one short line."""
    code = disk_error(error)
    if code is not None:
        return os.strerror(code).lower()
    *_, origin = _causes(error)
    first_line = (str(origin).strip().splitlines() or [''])[0]
    return f'{type(origin).__name__}: {first_line[:120]}'


def mentioned(error: BaseException, names: Iterable[str]) -> str | None:
    """The array whose files an exception names, if it does."""
    text = ' '.join(map(str, _causes(error)))
    return next((name for name in names if f'"{name}/' in text), None)


def is_damage(error: BaseException) -> bool:
    """False if the files may be good, and only cannot be read here and now."""
    if disk_error(error) in NOT_DAMAGE:
        return False
    return not any(
        isinstance(cause, MemoryError) or 'RESOURCE_EXHAUSTED' in str(cause)
        for cause in _causes(error)
    )


@functools.cache
def _orbax():
    """Orbax v1 and how we use it: no file that is not needed to load.

    The context is a pattern: one that is entered is of one thread alone.
    """
    from orbax.checkpoint import v1 as orbax

    for name in ('absl', 'asyncio', 'root'):
        logging.getLogger(name).addFilter(_is_ours)
    warnings.filterwarnings('ignore', "coroutine 'OrbaxLayout", RuntimeWarning)
    _mute_stragglers()
    context = orbax.Context()
    context.pytree.loading.partial_load = True  # what there is, the manifest says
    saving = context.array.saving
    saving.use_compression = False  # weights hardly shrink (8 %), and load faster
    saving.enable_write_sharding_file = False  # shardings come with the structs
    saving.array_metadata_store = None
    return orbax, context


def _is_ours(record: logging.LogRecord) -> bool:
    """Drops what Orbax logs (300 lines a failure): we say the error ourselves."""
    text = record.pathname + record.getMessage()
    return 'orbax' not in text and 'tensorstore' not in text


def _mute_stragglers() -> None:
    """Drops the tracebacks of readers that outlive the event loop of a failed load.

    TensorStore's threads raise 'Event loop is closed' where nobody can catch it, and
    coroutines that were never finished do when they are collected.
    """
    report = sys.unraisablehook

    def hook(unraisable) -> None:
        code = getattr(unraisable.object, 'cr_code', None)
        of_orbax = code is not None and 'orbax' in code.co_filename
        if not of_orbax and str(unraisable.exc_value) != 'Event loop is closed':
            report(unraisable)

    sys.unraisablehook = hook


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
