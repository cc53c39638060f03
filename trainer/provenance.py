"""Where a run comes from: command, source, libraries, machine, seed and data.

One entry for each start of the run, none of which is ever lost. Never fails for want of
git; imports none of the libraries whose versions it notes.
"""

import collections
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import socket
import subprocess
from collections.abc import Mapping, Sequence

from trainer import __version__, files, rundir

SOURCE = pathlib.Path(__file__).resolve().parents[1]
GIT_SECONDS = 2
LIBRARIES = (
    'jax',
    'jaxlib',
    'flax',
    'optax',
    'orbax-checkpoint',
    'clu',
    'gin-config',
    'grain',
    'array_record',
    'tensorflow-datasets',
    'numpy',
    'opencv-python-headless',
)


def provenance(
    argv: Sequence[str],
    *,
    seed: int,
    data: Mapping[str, str],
    devices: Sequence[str],
) -> dict[str, object]:
    """What must be known to start this run again.

    Args:
      argv: the command's words.
      seed: of the experiment.
      data: fingerprint of each data set, by its role ('train', ...).
      devices: the kind of each device of the run ('cpu', 'NVIDIA H200', ...).

    Returns:
      A dictionary that JSON can hold; `git` is None outside a checkout.
    """
    return {
        'started': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'command': shlex.join(argv),
        'directory': os.getcwd(),
        'juniper': __version__,
        'git': git_state(SOURCE),
        'seed': seed,
        'data': dict(data),
        'devices': dict(collections.Counter(devices)),
        'host': socket.gethostname(),
        'platform': platform.platform(),
        'python': platform.python_version(),
        'libraries': library_versions(),
    }


def append(directory: str | os.PathLike, entry: dict[str, object]) -> None:
    """Adds the entry of one start to the run's provenance.json."""
    path = pathlib.Path(directory) / rundir.PROVENANCE
    files.write_json(path, [*attempts(directory), entry])


def attempts(directory: str | os.PathLike) -> list[dict[str, object]]:
    """The entry of each start of a run, first to last."""
    path = pathlib.Path(directory) / rundir.PROVENANCE
    return files.read_json(path) if path.exists() else []


def git_state(source: pathlib.Path) -> dict[str, object] | None:
    """Commit and dirtiness of a source tree; None if git does not keep it.

    Only files that git tracks can be dirty: looking for others would walk all data.
    """
    if _git(source, 'ls-files', '--error-unmatch', 'trainer/__init__.py') is None:
        return None  # a copy that lies by chance inside someone's checkout
    status = _git(source, 'status', '--porcelain=v2', '--branch', '-uno', '--', '.')
    if status is None:
        return None
    lines = status.splitlines()
    oid = next((s.split()[-1] for s in lines if s.startswith('# branch.oid')), None)
    dirty = any(not line.startswith('#') for line in lines)
    return {'commit': None if oid == '(initial)' else oid, 'dirty': dirty}


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide what a run computes, as installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git(source: pathlib.Path, *words: str) -> str | None:
    """What git prints; None if it is missing, unwilling or slow."""
    command = ['git', '--no-optional-locks', '-C', str(source), *words]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
