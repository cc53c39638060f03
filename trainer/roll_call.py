"""What all processes of a run must have alike, compared before anything is compiled."""

import fnmatch

from trainer import files, processes
from trainer.errors import UserError

SHOWN = 4  # keys that are named
OWN = ('*_data.workers', '*_data.data_dir', '*_data.folder', 'evaluations.*.workers')
OWN += ('watchdog.*',)  # what may be another on each machine


def versions() -> dict[str, object]:
    """Of what decides which program is run: ours, Python's and the libraries'."""
    import platform

    from trainer import __version__, provenance

    git = provenance.git_state(provenance.SOURCE) or {}
    return {
        'juniper': __version__,
        'commit': git.get('commit'),
        'python': platform.python_version(),
        **provenance.library_versions(),
    }


def check_config(flat: dict[str, object]) -> None:
    """Raises UserError where a process was given another config."""
    kept = {
        key: value
        for key, value in files.plain(flat).items()
        if not any(fnmatch.fnmatchcase(key, own) for own in OWN)
    }
    check_same(kept, 'give all the same config and bindings')


def check_job(job) -> None:
    """Raises UserError where a process has other data or devices.

    Args:
      job: the run, opened.
    """
    import jax

    local = jax.local_devices()
    facts = {f'{r} data': d.fingerprint for r, d in job.datasets.items()}
    facts |= {'devices': len(local), 'kind of device': local[0].device_kind}
    check_same(facts, 'all need the same data and as many devices')


def opened(experiment, splits=None):
    """The job of an experiment, which all processes have alike.

    Args:
      experiment, splits: as `job.open_job` takes them.

    Raises:
      UserError: a process has another one, or as `open_job`.
    """
    from trainer.description import describe
    from trainer.job import open_job

    check_config(describe(experiment))
    job = open_job(experiment, splits)
    check_job(job)
    return job


def check_same(
    mine: dict[str, object], advice: str, seconds: float | None = None
) -> None:
    """Compares a flat dictionary with those of all processes.

    Raises:
      UserError: one differs; names the process and the first keys.
      PeerEnded: one has ended, or did not come within `seconds`; default as flags say.
    """
    first, *others = processes.gather(mine, seconds or processes.seconds_to_join())
    for index, other in enumerate(others, 1):
        differ = [k for k in {**first, **other} if first.get(k) != other.get(k)]
        if differ:
            told = '; '.join(
                f'{key} {other.get(key)!r}, process 0 {first.get(key)!r}'
                for key in differ[:SHOWN]
            )
            more = f'; and {len(differ) - SHOWN} more' if differ[SHOWN:] else ''
            raise UserError(f'process {index} has {told}{more}; {advice}.')
