"""Training as one call: refuse mistakes, open and lock a directory, run in it.

What a run does there is `run.py`; what is written where is `rundir.py`.
"""

import contextlib
import os
import pathlib

from trainer import (
    mirror,
    places,
    pretrained,
    processes,
    remedies,
    resume,
    roll_call,
    rundir,
)
from trainer.chronicle import Chronicle
from trainer.console import Console
from trainer.experiment import Experiment, describe
from trainer.job import Job, open_job
from trainer.lock import check_writable, locked
from trainer.replay import replayable
from trainer.run import Run
from trainer.signals import Stop, stop_on_signals
from trainer.trackers import Trackers
from trainer.verdicts import make_plateau, make_tracker
from trainer.watchdog import watched


def train(
    experiment: Experiment,
    workdir: str | pathlib.Path | None = None,
    *,
    argv: tuple[str, ...] = (),
    stop: Stop | None = None,
    console: Console | None = None,
) -> dict:
    """Trains, or goes on with, the run in `workdir`.

    Args:
      experiment: as `load` gives it.
      workdir: the run directory, or an address such as `gs://bucket/run`, of which a
        directory here is then the near side; None makes `runs/<name>_<time>`.
      argv: the command, for the record.
      stop: true once a signal has asked to stop; None handles signals here.
      console: what speaks to the person; None speaks on standard output.

    Returns:
      What results.json holds: 'best/step', 'val/...', 'test/...'.

    Raises:
      UserError: a mistake in config, data or directory, before anything is written.
      TrainingFailed: the loss was not finite, or the last checkpoint not written.
      Interrupted: a signal came; the same call goes on.
    """
    console, experiment = console or Console(), replayable(experiment)
    roll_call.check_config(describe(experiment))
    with contextlib.ExitStack() as stack:
        if stop is None:
            stop = stack.enter_context(stop_on_signals())
        if places.is_address(workdir):
            workdir = stack.enter_context(mirror.mirrored(workdir, stop))
        if experiment.seeds:
            said = {'argv': argv, 'stop': stop, 'console': console}
            return _all_seeds(experiment, workdir, **said)
        with console.phases('data'):
            job = open_job(pretrained.expecting(experiment, workdir))
            roll_call.check_job(job)
        return train_job(job, workdir, argv=argv, stop=stop, console=console)


def train_job(
    job: Job,
    workdir: str | pathlib.Path | None,
    *,
    argv: tuple[str, ...] = (),
    stop: Stop,
    console: Console,
) -> dict:
    """`train` with what it works with opened already; arguments and errors as there."""
    stop.leave()
    make_tracker(job), make_plateau(job)  # refused before any file is there
    if workdir is None or not rundir.is_run(workdir):
        job.pretrained  # noqa: B018 - as well, and in all processes at once
    directory = open_directory(job, workdir)
    chronicle = Chronicle(directory, console.phases, console.quiet)
    with contextlib.ExitStack() as stack:
        trackers = Trackers(directory, job.experiment.writers)
        stack.enter_context(trackers)  # what they upload is written by then
        stack.enter_context(chronicle)  # its last page says how the run ended
        stack.enter_context(locked(directory))
        stack.enter_context(console.log_to(directory))
        log = directory / rundir.log_of(processes.index())
        stack.enter_context(watched(job.experiment.watchdog, log, stop))
        stack.enter_context(remedies.advised(job))
        run = Run(job, directory, argv, stop, console, chronicle, trackers)
        return run.finished() or run.go()


def open_directory(job: Job, workdir: str | pathlib.Path | None) -> pathlib.Path:
    """The run directory, writable and of this experiment; process 0 opens it for all.

    Raises:
      UserError: it cannot be one, or holds another experiment.
    """
    if not processes.is_main():
        return pathlib.Path(processes.told(None))
    if workdir is None:
        directory = rundir.create(job.experiment.name)
    else:
        directory = rundir.open_workdir(workdir)
    if rundir.is_run(directory):  # before its lock and its log are written to
        resume.check_config(rundir.config(directory), describe(job.experiment))
    check_writable(directory)
    processes.told(os.path.abspath(directory))
    return directory


def _all_seeds(experiment: Experiment, workdir, **said) -> dict:
    from trainer.seeds import train_seeds

    return train_seeds(experiment, workdir, **said)
