"""What each command does, in terms of the rooms; `main.py` has found the flags.

Each takes the parsed flags and gives an exit code, or raises an `errors.Ending`.
"""

import json
from collections.abc import Callable, Sequence

from trainer import (
    files,
    measuring_commands,
    model_commands,
    places,
    processes,
    questions,
)
from trainer.cluster import takes_part
from trainer.console import Console, log, say
from trainer.errors import DONE, USER_ERROR, UserError
from trainer.host_memory import collect_garbage_rarely, keep_freed_memory
from trainer.lint import allowed
from trainer.screen import tell
from trainer.signals import stop_on_signals
from trainer.supervisor import stop_without_supervisor, supervise

SAMPLES = 24  # pictures on the page of `data`


def run(
    name: str, flags, *, words: Sequence[str], argv: Sequence[str], started: float
) -> int:
    """Runs a command.

    Args:
      name: of the command.
      flags: parsed.
      words: what stands behind the command's name and is no flag.
      argv: the whole command, for the record.
      started: when the program began (`time.perf_counter()`).
    """
    if not takes_part(name, flags):
        return DONE
    allowed.limit(flags.gin_imports)
    keep_freed_memory()
    collect_garbage_rarely()
    with processes.joined(name, flags):
        for room in (questions, model_commands):
            if name in room.COMMANDS:
                return room.COMMANDS[name](flags, words)
        return COMMANDS[name](flags, argv, started)


def train(flags, argv: Sequence[str], started: float) -> int:
    """Trains a model, or goes on with a run."""
    if flags.restarts:
        return supervised(flags, argv)
    with stop_on_signals() as stop:
        stop_without_supervisor()
        console = Console(started=started)
        with console.phases('import'):
            from trainer.compilation import enable_cache
            from trainer.experiment import load
            from trainer.train import train

            enable_cache()
        workdir = questions.place_of(flags)
        if flags.resume is not None:
            say(f'resuming {workdir}, from its newest checkpoint')
        config = questions.config_of(flags, workdir)
        experiment = load(*config)
        for note in notes(*config):
            say(note)
        train(experiment, workdir, argv=argv, stop=stop, console=console)
    return DONE


def supervised(flags, argv: Sequence[str]) -> int:
    """Trains in a process of its own, which is started again when it is killed."""
    directory = questions.place_of(flags)
    if directory is None:
        raise UserError('--restarts needs the run to go on with: give --workdir.')
    return supervise(argv, flags.restarts, places.local(directory))


def check(flags, argv: Sequence[str], started: float) -> int:
    """Finds every mistake in a config; opens no data, except to rehearse."""
    from trainer.lint.report import check_report

    report = check_report(*questions.config_of(flags, questions.place_of(flags)))
    reports = processes.gather(report)  # with --memory of several processes
    text, good = next((one for one in reports if not one[1]), report)
    if flags.rehearse and flags.memory:
        raise UserError('check takes --rehearse or --memory: ask for one at a time.')
    if good and (flags.rehearse or flags.memory):
        return rehearse(flags) if flags.rehearse else memory(flags)
    if flags.json:
        text = json.dumps({'good': good, 'findings': text.splitlines()}, indent=2)
    say(text)
    return DONE if good else USER_ERROR


def rehearse(flags) -> int:
    """Lives through a run in seconds, and says what it found and foretells."""
    from trainer.compilation import enable_cache
    from trainer.experiment import load
    from trainer.rehearsal import Rehearsal
    from trainer.watchdog import watched

    enable_cache()
    place = questions.place_of(flags)
    experiment = load(*questions.config_of(flags, place))
    directory = places.local(place or f'runs/{experiment.name}_rehearsed')
    with watched(experiment.watchdog):
        rehearsal = Rehearsal(experiment, directory).go()
    found = files.plain(rehearsal.as_json())
    say(json.dumps(found, indent=2) if flags.json else rehearsal.text())
    return DONE if rehearsal.good else USER_ERROR


def memory(flags) -> int:
    """Says what a train step takes, and the largest batch that fits."""
    from trainer import asked, memory, roll_call
    from trainer.compilation import enable_cache
    from trainer.watchdog import watched

    enable_cache()
    experiment = asked.sized(flags)
    job = roll_call.opened(experiment, ())
    with watched(experiment.watchdog):
        found = memory.examine(job)
    say(json.dumps(found, indent=2) if flags.json else memory.text(found))
    return DONE if found['fits'] else USER_ERROR


def data(flags, argv: Sequence[str], started: float) -> int:
    """Reads all data of a config, and says what it is like and what is wrong."""
    from trainer import asked, data_report
    from trainer.compilation import enable_cache
    from trainer.report.data_page import data_page
    from trainer.samples import samples

    enable_cache()
    experiment = asked.sized(flags)
    folder = flags.out or f'reports/data_{experiment.name}'
    directory = files.make_folder('out', folder)
    datasets, closed = data_report.open_data(experiment)
    facts = files.plain(data_report.examine(experiment, datasets, closed))
    shown = samples(datasets['train'], experiment.seed, SAMPLES)
    files.write_json(directory / 'data.json', facts)
    files.write_text(directory / 'data.html', data_page(facts, shown))
    say(json.dumps(facts, indent=2) if flags.json else data_report.text(facts))
    tell(f'written: {directory / "data.html"} and data.json beside it')
    data_report.check_trainable(facts)
    return DONE


def evaluate(flags, argv: Sequence[str], started: float) -> int:
    """Scores a checkpoint of a run."""
    with stop_on_signals('leaving after this batch') as stop:
        from trainer.compilation import enable_cache
        from trainer.evaluate import evaluate_run

        enable_cache()
        directory = questions.run_of(flags, 'evaluate', flags.checkpoint)
        evaluate_run(directory, flags.split, flags.checkpoint, stop)
    return DONE


def search(flags, argv: Sequence[str], started: float) -> int:
    """Tries the values of a search space, or goes on doing so."""
    with stop_on_signals() as stop:
        console = Console(started=started)
        with console.phases('import'):
            from trainer.compilation import enable_cache
            from trainer.experiment import load
            from trainer.search.place import check_folder
            from trainer.search.study import search

            enable_cache()
        workdir = flags.workdir and check_folder(flags.workdir)
        experiment = load(*questions.config_of(flags, workdir))
        search(experiment, workdir, argv=argv, stop=stop, console=console)
    return DONE


def fast(flags, argv: Sequence[str], started: float) -> int:
    """Two steps of everything."""
    return trial('fast', flags, started)


def overfit(flags, argv: Sequence[str], started: float) -> int:
    """One batch until it is learnt."""
    return trial('overfit', flags, started)


def trial(name: str, flags, started: float) -> int:
    """A short trial of a config, one of those in `trials.py`."""
    with stop_on_signals() as stop:
        console = Console(started=started)
        with console.phases('import'):
            from trainer import asked, trials
            from trainer.compilation import enable_cache

            enable_cache()
        place, experiment = questions.place_of(flags), asked.trained(flags)
        beside = {'workdir': places.local(place or 'runs')} if name == 'fast' else {}
        getattr(trials, name)(experiment, stop=stop, console=console, **beside)
    return DONE


COMMANDS: dict[str, Callable] = {
    'train': train,
    'check': check,
    'data': data,
    'evaluate': evaluate,
    'search': search,
    'fast': fast,
    'overfit': overfit,
    **measuring_commands.COMMANDS,
}


def notes(files, bindings) -> list[str]:
    """What `check` would mention without calling it a mistake."""
    from trainer.lint.report import findings

    found = [str(finding) for finding in findings(files, bindings)]
    log.info('config: %s', '; '.join(found) or 'no findings')
    return found
