"""One experiment with several seeds: a run each, and their mean with its spread."""

import dataclasses
import os
import pathlib
import statistics

from trainer import files, processes, rundir
from trainer.chronicle import write_page
from trainer.console import Console, table
from trainer.errors import UserError
from trainer.experiment import Experiment, describe, load
from trainer.results import is_part, is_score
from trainer.signals import Stop
from trainer.train import train

SPREAD = ('mean', 'std')


def train_seeds(
    experiment: Experiment,
    workdir: str | pathlib.Path | None = None,
    *,
    argv: tuple[str, ...] = (),
    stop: Stop | None = None,
    console: Console,
) -> dict:
    """Trains in `workdir/seed_<seed>/` for each of `experiment.seeds`.

    The same call goes on where it stopped: finished seeds are left as they are.
    Arguments and errors as in `trainer.train.train`.

    Returns:
      What results.json in `workdir` holds: 'test/loss/mean', 'test/loss/std', ...
    """
    directory, results = open_for_all(experiment, workdir), {}
    for number, seed in enumerate(experiment.seeds, start=1):
        console.say(f'seed {seed} ({number} of {len(experiment.seeds)})')
        one = with_seed(experiment, directory, seed)
        place = directory / f'seed_{seed}'
        results[seed] = train(one, place, argv=argv, stop=stop, console=console)
    summary = summarize(results)
    if processes.is_main():
        files.write_json(directory / rundir.RESULTS, summary)
    console.say(seed_table(results, summary))
    if not console.quiet:
        write_page(directory)
    return files.plain(summary)


def open_for_all(
    experiment: Experiment, workdir: str | pathlib.Path | None
) -> pathlib.Path:
    """The directory of all seeds, with what was asked for; process 0 opens it for all.

    Raises:
      UserError: it cannot be one, or is the run of one seed.
    """
    if not processes.is_main():
        return pathlib.Path(processes.told(None))
    if workdir is None:
        directory = rundir.create(experiment.name)
    else:
        check_seeds(pathlib.Path(workdir).expanduser(), experiment)
        directory = rundir.open_workdir(workdir)
    rundir.write_config(directory, describe(experiment))
    if experiment.source is not None:
        source = experiment.source.config_gin
        files.write_text(directory / rundir.CONFIG_GIN, source)
    processes.told(os.path.abspath(directory))
    return directory


def check_seeds(directory: pathlib.Path, experiment: Experiment) -> None:
    """Raises UserError for the run of one seed: its config would be replaced."""
    if rundir.is_run(directory) and not rundir.config(directory).get('seeds'):
        raise UserError(
            f'{directory} is the run of one seed, and Experiment.seeds = '
            f'{tuple(experiment.seeds)} needs a directory for several; give a '
            f'--workdir that is empty or new.'
        )


def with_seed(experiment: Experiment, directory: pathlib.Path, seed: int) -> Experiment:
    """The experiment with one seed; its gin text, which the first process writes,
    replays just this run."""
    if experiment.source is None or not processes.is_main():
        return dataclasses.replace(experiment, seed=seed, seeds=())
    bindings = [f'Experiment.seed = {seed}', 'Experiment.seeds = ()']
    return load([str(directory / rundir.CONFIG_GIN)], bindings)


def summarize(results: dict[int, dict]) -> dict:
    """Mean and sample standard deviation of every score, over the seeds.

    Args:
      results: by seed, as each run wrote them.
    """
    first = next(iter(results.values()))
    summary = {'name': first['name'], 'seeds': list(results)}
    for key in filter(is_score, first):
        values = [run.get(key) for run in results.values()]
        if None in values:
            continue
        summary[f'{key}/mean'] = statistics.fmean(values)
        summary[f'{key}/std'] = statistics.stdev(values) if len(values) > 1 else 0.0
    return summary


def seed_table(results: dict[int, dict], summary: dict) -> str:
    """A row for each seed, and the mean with its standard deviation."""
    keys = [
        key.removesuffix('/mean')
        for key in summary
        if key.endswith('/mean') and not is_part(key.removesuffix('/mean'))
    ]
    rows = [[str(seed), *(run[key] for key in keys)] for seed, run in results.items()]
    rows += [[what, *(summary[f'{key}/{what}'] for key in keys)] for what in SPREAD]
    return table(rows, ['seed', *keys])
