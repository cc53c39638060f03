"""The commands that answer a question and train nothing; `main.py` found the flags.

Each takes the parsed flags and the words after the command, and gives an exit code or
raises an `errors.Ending`. Answers go to stdout, whatever else is said to stderr.
"""

import dataclasses
import itertools
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence

from trainer import answers, files, mirror, overwriting, places, rundir, which_run
from trainer.errors import DONE, USER_ERROR, UserError
from trainer.screen import tell, warn
from trainer.search.place import check_no_search, storage_of


def models(flags, words: Sequence[str]) -> int:
    """Models by name with parameters and GFLOPs; --profile tells their memory."""
    if flags.published:
        return published(flags, words)
    for flag in (flag for flag in ('verify', 'registry') if flags[flag].present):
        raise UserError(f'--{flag} is of published models: add --published.')
    from trainer import model_table

    if flags['batch'].present and not flags.profile:
        raise UserError('--batch is that of a profile: add --profile.')
    names, batch = model_table.matching(words), None
    if flags.profile:
        from trainer.compilation import enable_cache

        enable_cache()
        batch = flags.batch
    sizes = model_table.sizes(names, flags.flops or flags.profile, batch)
    if flags.json:
        return _say_json(sizes)
    header = model_table.header(flags.flops, flags.profile)
    return _say(itertools.chain([header], sizes))


def published(flags, words: Sequence[str]) -> int:
    """The versions of the registry; with --verify every byte of them is read."""
    for flag in (f for f in ('flops', 'profile', 'batch') if flags[f].present):
        raise UserError(f'--published lists the registry, so --{flag} says nothing.')
    from trainer.registry import catalogue

    found, damaged = catalogue.listing(words, flags.registry, flags.verify)
    if flags.json:
        _say_json(found)
    elif found:
        _say([catalogue.table_of(found, time.time())])
    elif not damaged:
        tell(f'Nothing is published in {catalogue.root_of(flags.registry)}.')
    for line in damaged:
        warn(line)
    return USER_ERROR if damaged else DONE


def doctor(flags, words: Sequence[str]) -> int:
    """Whether this machine can train, and what mends it."""
    from trainer import doctor

    checks = doctor.examine()
    if flags.json:
        _say_json(checks)
    else:
        _say([*checks, doctor.summary(checks)])
    return USER_ERROR if any(c.status == 'fail' for c in checks) else DONE


def runs(flags, words: Sequence[str]) -> int:
    """How the runs in a directory stand."""
    from trainer import run_list

    for word in filter(places.is_address, words):
        raise UserError(
            f'runs lists directories, and {word} is an address; report and compare '
            f'take the address of a run.'
        )
    roots = words or [root for root in ['runs'] if pathlib.Path(root).exists()]
    found = [one for root in roots for one in run_list.standings(root)]
    if flags.json:
        return _say_json(found)
    if not found:
        tell(f'There are no runs in {" or ".join(words or ["runs"])}.')
        return DONE
    return _say([run_list.run_table(found)])


def checkpoints(flags, words: Sequence[str]) -> int:
    """The checkpoints of a run, and whether they are what was saved."""
    from trainer.checkpoint_list import checkpoint_table
    from trainer.checkpoint_list import checkpoints as listed

    if len(words) > 1:
        raise UserError(f'checkpoints takes one run, not {len(words)}: {words[1]!r}.')
    if words:
        directory = which_run.find(words[0], mirror.ALL)
    else:
        directory = run_of(flags, 'checkpoints', mirror.ALL)
    found = listed(directory, flags.verify)
    if flags.json:
        _say_json(found)
    elif found:
        _say([checkpoint_table(found, time.time())])
    else:
        tell(f'{directory} has no checkpoint yet.')
    return DONE if all(one.good for one in found) else USER_ERROR


def report(flags, words: Sequence[str]) -> int:
    """Writes the page of runs and studies named, whatever became of them."""
    from trainer.report.write import write_report

    asked = words or ([flags.workdir] if flags.workdir else [])
    studies = [place for place in asked if storage_of(place)]
    written = [_study_page(place) for place in studies]
    others = [word for word in words if word not in studies]
    found = [run for word in others for run in which_run.find_all(word)]
    if not studies:
        found = found or [run_of(flags, 'report')]
    for directory in found:
        written.append(str(write_report(directory)))
        mirror.give_back(directory)
    return _say(written)


def _study_page(folder: str) -> str:
    from trainer.search.page import write_page

    return str(write_page(folder))


def compare(flags, words: Sequence[str]) -> int:
    """Runs side by side, on the screen or with --out as a page."""
    if not words:
        raise UserError(
            'compare needs runs: give directories or globs, as in '
            "`python main.py compare 'runs/resnet18_*'`."
        )
    answers.check_out(flags.out, overwriting.PAGES)
    from trainer.report import comparison, versus

    found = comparison.compare(words, flags.metric)
    if flags.out:
        files.write_text(flags.out, versus.as_page(found))
        tell(f'{len(found.runs)} runs compared in {flags.out}')
    if flags.json:
        return _say([json.dumps(files.plain(versus.as_json(found)), indent=2)])
    return _say([versus.as_text(found)])


COMMANDS: dict[str, Callable] = {
    'compare': compare,
    'report': report,
    'checkpoints': checkpoints,
    'models': models,
    'doctor': doctor,
    'runs': runs,
}


def run_of(flags, command: str, checkpoint: str | None = None) -> pathlib.Path:
    """The run that --workdir or --resume names, by its path, a glob or an address.

    `checkpoint` is what a run that is fetched must bring; see `which_run.find`.

    Raises:
      UserError: neither is given, or there is no such run.
    """
    place = place_of(flags)
    if place is None:
        raise UserError(f'{command} needs a run: give --workdir=runs/NAME_TIME.')
    found = flags.resume is not None and not places.is_address(place)
    run = place if found else which_run.find(place, checkpoint)
    if checkpoint not in (None, mirror.ALL):
        which_run.check_asked(str(place), run, checkpoint)
    return run


def place_of(flags) -> str | pathlib.Path | None:
    """What --resume finds, or --workdir says, whether a run is there or not, or None.

    An address stays one: what is needed of its run is fetched later.

    Raises:
      UserError: both are given, or --resume finds nothing.
    """
    if None not in (flags.resume, flags.workdir):
        raise UserError('--workdir and --resume both say which run: give one of them.')
    if places.is_address(flags.resume):
        return flags.resume
    if flags.resume is not None:
        run = which_run.find(flags.resume)
        which_run.check_newest(flags.resume, run)
        return run
    if flags.workdir is not None and not places.is_address(flags.workdir):
        check_no_search(os.path.expanduser(flags.workdir))
    return flags.workdir and os.path.expanduser(flags.workdir)


def config_of(flags, workdir) -> tuple[list[str], list[str]]:
    """The gin files and bindings of a command; without a file, those of `workdir`.

    Raises:
      UserError: neither a file nor a run, or search, to take one from.
    """
    files, bindings = list(flags.gin_file), list(flags.gin_bindings)
    if not files and workdir is not None:
        if places.is_address(workdir):
            workdir = which_run.find(workdir)
        given = pathlib.Path(workdir) / rundir.CONFIG_GIN
        if given.exists() and (rundir.is_run(workdir) or storage_of(workdir)):
            files = [str(given)]
    if not files:
        raise UserError(
            f'No config{_why_none(workdir)}: give --gin_file=configs/resnet18.gin, or '
            f'--workdir or --resume of a run (python main.py --help lists the configs).'
        )
    if flags.name is not None:
        bindings.append(f'Experiment.name = {flags.name!r}')
    return files, bindings


def _why_none(workdir) -> str:
    """What is wrong with a directory that should have had a config, if one is named."""
    if workdir is None:
        return ''
    if not os.path.exists(workdir):
        near = which_run.nearest(str(workdir))
        return f', as there is no directory {workdir} ({near})'
    if rundir.is_run(workdir) or storage_of(workdir):
        return f', as {workdir} has lost its {rundir.CONFIG_GIN}'
    return f', as {workdir} is no run'


def _say(lines: Iterable[object]) -> int:
    answers.write((f'{line}\n' for line in lines), None)
    return DONE


def _say_json(items: Iterable) -> int:
    value = files.plain([dataclasses.asdict(item) for item in items])
    return _say([json.dumps(value, indent=2)])
