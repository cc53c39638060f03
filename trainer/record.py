"""What a run writes beside its checkpoints and its log: by process 0 alone.

Every function may be called by all processes of a run, in one order.
"""

import pathlib

import jax

from trainer import (
    files,
    mirror,
    pretrained,
    processes,
    provenance,
    results,
    rundir,
    writers,
)
from trainer.defaults import write_source
from trainer.job import Job


def start(directory: pathlib.Path, job: Job, config: dict, argv, data: dict) -> None:
    """Writes what was asked for and from where, before the first step.

    Args:
      directory: the run's.
      job: the run.
      config: of its experiment, flat.
      argv: the command's words.
      data: fingerprint of each data set, by its role.
    """
    if not processes.is_main():
        return
    rundir.write_config(directory, config)
    source = job.experiment.source
    if source is not None:
        write_source(directory, source, config)
    entry = provenance.provenance(
        argv,
        seed=job.experiment.seed,
        data=data,
        devices=[device.device_kind for device in jax.devices()],
    )
    provenance.append(directory, entry)


def begin_anew(directory: pathlib.Path, job: Job) -> None:
    """Drops what an earlier start without a checkpoint wrote."""
    if processes.is_main():
        writers.truncate(directory / rundir.METRICS, -1)
        if job.pretrained is not None:
            pretrained.remember(directory, job.pretrained)


def go_on(directory: pathlib.Path, step: int) -> None:
    """Drops what a run that goes on from a step is going to write again."""
    if processes.is_main():
        writers.truncate(directory / rundir.METRICS, step)
        (directory / rundir.RESULTS).unlink(missing_ok=True)


def left_out(directory: pathlib.Path, job: Job) -> None:
    """Writes what process 0 could not read; `gathered` knows what the others could."""
    if processes.is_main():
        results.write_left_out(directory, results.skipped(job.datasets))


def evaluation(directory: pathlib.Path, split: str, scores: dict) -> None:
    """Writes the scores of one data set beside a run that is there."""
    if processes.is_main():
        files.write_json(directory / f'evaluation_{split}.json', scores)
        mirror.give_back(directory)


def write_results(
    directory: pathlib.Path, job: Job, step: int, best: int, scores: dict
) -> dict:
    """What the run has come to, with what any process left out; see `results.py`."""
    everywhere: dict[str, list] = {}
    for of_one in processes.gather(results.skipped(job.datasets)):
        for role, lines in of_one.items():
            everywhere.setdefault(role, []).extend(lines)
    written = None
    if processes.is_main():
        written = results.write_results(directory, job, step, best, scores, everywhere)
    return processes.told(written)
