"""Whether this machine can train: software, devices, data, disk and memory.

One line for each thing that is looked at, which says what mends it. Reads the machine
and leaves it as it is; knows no run.
"""

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Literal

from trainer import accelerators

ROOT = pathlib.Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements.txt'
OLDEST_PYTHON = (3, 11)
GIB = 2**30
LITTLE_DISK, NO_DISK = 5 * GIB, 0.1 * GIB  # where to be careful, where to give up
LITTLE_MEMORY = 2 * GIB
FEW_FILES = 1024  # open at once: Orbax and the processes that read use hundreds
MEMORY_LIMITS = (  # of a container
    pathlib.Path('/sys/fs/cgroup/memory.max'),
    pathlib.Path('/sys/fs/cgroup/memory/memory.limit_in_bytes'),
)

Status = Literal['ok', 'warn', 'fail']


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
      name: what was looked at.
      status: 'ok', 'warn' (it may do) or 'fail' (training would not work).
      message: what was found and, where that is not well, what mends it.
    """

    name: str
    status: Status
    message: str

    def __str__(self):
        return f'{self.status:<5} {self.name:<24} {self.message}'


def examine() -> list[Check]:
    """All checks, in the order in which one would mend what they find."""
    named = {
        'python': python,
        'devices': devices,
        'compile cache': compile_cache,
        'digits': digits,
        'disk': disk,
        'memory': memory,
        'cores': cores,
        'open files': open_files,
    }
    first, *others = [_check(name, look) for name, look in named.items()]
    return [first, *map(package, *zip(*requirements(), strict=True)), *others]


def summary(checks: list[Check]) -> str:
    """How many things are to be mended."""
    count = {s: sum(c.status == s for c in checks) for s in ('ok', 'warn', 'fail')}
    return '{ok} ok, {warn} to know, {fail} to mend'.format(**count)


def _check(name: str, look: Callable[[], tuple[Status, str]]) -> Check:
    """A check whose look at the machine may itself break."""
    try:
        return Check(name, *look())
    except Exception as error:  # whatever a broken package or driver raises
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        return Check(name, 'fail', reason[:300])


def python() -> tuple[Status, str]:
    """Python itself, and where it lies."""
    found = f'{platform.python_version()} at {sys.executable}, {platform.platform()}'
    if sys.version_info < OLDEST_PYTHON:
        return 'fail', f'{found}; Juniper needs {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}'
    return 'ok', found


def requirements(path: pathlib.Path = REQUIREMENTS) -> list[tuple[str, str]]:
    """What a requirements file asks for: [('jax', '>=0.10.2,<0.12'), ...]."""
    return re.findall(r'^(\w[\w.-]*)([<>=,.\w]*)', path.read_text(), re.MULTILINE)


def package(name: str, wanted: str) -> Check:
    """Whether a package is installed, and in the range that is wanted."""
    mend = f'pip install "{name}{wanted}"'
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, 'fail', f'is not installed: {mend}')
    if not in_range(found, wanted):
        return Check(name, 'fail', f'{found} is not {wanted}: {mend}')
    return Check(name, 'ok', f'{found} ({wanted})')


def in_range(version: str, wanted: str) -> bool:
    """Whether '0.10.2' is in '>=0.10,<0.12'; knows the signs >=, < and ==."""
    found = _release(version)
    holds = {'>=': found.__ge__, '<': found.__lt__, '==': found.__eq__}
    bounds = re.findall(r'(>=|<|==)([\d.]+)', wanted)
    return all(holds[sign](_release(bound)) for sign, bound in bounds)


def _release(version: str) -> tuple[int, ...]:
    """(0, 12, 8, 0) of '0.12.8' and of '0.12.8rc1'."""
    numbers = re.match(r'[\d.]*\d', version)[0].split('.')
    return tuple(map(int, [*numbers, 0, 0, 0][:4]))


def devices() -> tuple[Status, str]:
    """What JAX sees, and what it does not see though it is there."""
    import jax

    found = jax.devices()
    kinds = {device.device_kind for device in found}
    seen = f'{len(found)} x {", ".join(sorted(kinds))}'
    for kind, names in accelerators.hardware().items():
        if kind not in {device.platform for device in found}:
            how = accelerators.remedy(kind)
            return 'warn', f'{seen}, but this machine has {names}; {how}'
    return 'ok', seen


def compile_cache() -> tuple[Status, str]:
    """Where compiled programs are kept, how much there is, and whether more may be."""
    from trainer.places import cache_directory

    path = cache_directory()
    size = sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
    there = next(place for place in (path, *path.parents) if place.is_dir())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        reason = os.strerror(error.errno)
        return 'warn', f'{path}: {reason}; set JUNIPER_CACHE to a folder of yours'
    return 'ok', f'{path}, {_gib(size)}'


def digits() -> tuple[Status, str]:
    """Whether the embedded images can be read."""
    from trainer.data.images import Images

    data = Images(name='digits', split='train+test', batch=1).open()
    shape = 'x'.join(map(str, data[len(data) - 1]['image'].shape))
    return 'ok', f'{len(data):,} images of {shape}'


def disk(path: str | os.PathLike = '.') -> tuple[Status, str]:
    """Room for runs, where the command is given."""
    usage = shutil.disk_usage(path)
    found = f'{_gib(usage.free)} of {_gib(usage.total)} free in {pathlib.Path.cwd()}'
    if usage.free < NO_DISK:
        return 'fail', f'{found}; make room, or give a --workdir elsewhere'
    if usage.free < LITTLE_DISK:
        return 'warn', f'{found}; a checkpoint takes three times the parameters'
    return 'ok', found


def memory() -> tuple[Status, str]:
    """What the machine, or the container, has."""
    total = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    limits = [path.read_text().strip() for path in MEMORY_LIMITS if path.exists()]
    total = min([total, *(int(limit) for limit in limits if limit.isdecimal())])
    if total < LITTLE_MEMORY:
        return 'warn', f'{_gib(total)}; take small batches, and Images.workers = 0'
    return 'ok', _gib(total)


def cores() -> tuple[Status, str]:
    """How many processors this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return 'ok', f'{len(os.sched_getaffinity(0))} of {os.cpu_count()}'
    return 'ok', str(os.cpu_count())


def open_files() -> tuple[Status, str]:
    """How many files a process may hold open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FEW_FILES and soft != resource.RLIM_INFINITY:
        return 'warn', f'{soft} (up to {hard}); say `ulimit -n 4096` before training'
    return 'ok', f'{soft:,}' if soft != resource.RLIM_INFINITY else 'no limit'


def _gib(size: float) -> str:
    return f'{size / GIB:,.1f} GiB' if size >= GIB else f'{size / 2**20:,.0f} MiB'
