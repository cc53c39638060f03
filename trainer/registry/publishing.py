"""Publishing: a run's files and one checkpoint become a version, whole or not at all.

All is written and verified beside the version's place, and brought to the disk, before
one rename makes it a version: a killed publisher, a full disk or a second publisher of
the same version leave nothing half there.
"""

import contextlib
import datetime
import errno
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator

from trainer import __version__, files, results, rundir, which_run, writers
from trainer.checkpoints import CheckpointStore
from trainer.errors import UserError
from trainer.evaluate import chosen_step, experiment_of
from trainer.predict import Predictor, open_predictor
from trainer.pretrained import FILE as PRETRAINED
from trainer.registry import seal, semantic, shelf
from trainer.registry.card import card
from trainer.registry.shelf import Published
from trainer.turns import turn

PARTIAL = '.partial'
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR)
TEXTS = (  # of a run; no pictures, which may show whom the data shows
    rundir.CONFIG,
    rundir.CONFIG_GIN,
    rundir.OPERATIVE_GIN,
    rundir.PROVENANCE,
    rundir.RESULTS,
    rundir.LEFT_OUT,
    PRETRAINED,
)


def publish(
    directory, name: str, version: str, *, note, licence, checkpoint, root
) -> Published:
    """As `trainer.registry.publish`, which says what the arguments are."""
    _check_words(name, note, licence)
    folder = shelf.root_of(root) / name
    place = folder / semantic.check(version)
    run = which_run.find(str(directory), checkpoint)
    rundir.check_open(run)
    experiment_of(run)  # says what is missing before anything is copied
    _check_free(place)
    step = _step_of(run, checkpoint)
    said = {'name': name, 'version': version, 'note': note, 'licence': licence}
    try:
        with _partial(folder) as partial:
            _fill(partial, run, step, said)
            _make_version(partial, place)
    except OSError as error:
        what = f' ({error.filename})' if error.filename else ''
        raise UserError(
            f'{name} {version} was not published in {folder.parent}: '
            f'{os.strerror(error.errno or errno.EIO).lower()}{what}. Nothing of it is '
            f'there; mend this, and say it again.'
        ) from error
    files.make_durable(place)
    return shelf.read(place)


def _check_words(name: str, note: str, licence: str) -> None:
    if not shelf.NAME.fullmatch(name):
        raise UserError(
            f'{name!r} is no name to publish under; take letters, digits, ".", "_" and '
            f'"-", with a letter or digit first, 100 at the most.'
        )
    for flag, text in (('note', note), ('licence', licence)):
        if not text.isprintable():
            raise UserError(f'--{flag} takes one line of text, not {text!r}.')


def _check_free(place: pathlib.Path) -> None:
    if place.exists():
        folder, version = place.parent, place.name
        newest = shelf.versions_of(folder.parent, folder.name)[-1:]
        raise UserError(
            f'{folder.name} {version} is published already, in {folder.parent}, and '
            f'no version ever changes; the newest is {", ".join(newest)}: take a '
            f'higher one.'
        )


def _step_of(run: pathlib.Path, checkpoint: str) -> int:
    store = CheckpointStore(run / rundir.CHECKPOINTS)
    seeds = sorted(path.name for path in run.glob('seed_*') if rundir.is_run(path))
    if seeds and not store.steps():
        raise UserError(
            f'{run} holds a run for each seed; publish one of them: '
            f'{", ".join(str(run / seed) for seed in seeds)}.'
        )
    return chosen_step(store, checkpoint)


@contextlib.contextmanager
def _partial(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A directory to fill, removed at the end if it is still there.

    Publishers of one name take turns where the file system has locks, and what a
    killed one left behind is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with turn(folder) as alone:
        for leftover in folder.glob(f'.*{PARTIAL}') if alone else ():
            shutil.rmtree(leftover, ignore_errors=True)
        partial = folder / f'.{uuid.uuid4().hex}{PARTIAL}'
        try:
            partial.mkdir()
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _fill(partial: pathlib.Path, run: pathlib.Path, step: int, said: dict) -> None:
    """Copies what a version needs, verifies the copy, describes and seals it."""
    for name in TEXTS:
        if (run / name).exists():
            shutil.copyfile(run / name, partial / name)
    checkpoint = f'{rundir.CHECKPOINTS}/{step}'
    shutil.copytree(run / checkpoint, partial / checkpoint, copy_function=_copy)
    predictor = open_predictor(partial, str(step))
    facts = facts_of(run, predictor) | said
    files.write_text(partial / shelf.CARD, card(facts, partial, predictor))
    files.write_json(partial / rundir.PUBLISHED, facts)
    seal.seal(partial)
    files.make_durable(partial)


def _copy(source: str, target: str) -> str:
    """The bytes alone: not the times and rights that they had in the run."""
    return shutil.copyfile(source, target)


def facts_of(run: pathlib.Path, predictor: Predictor) -> dict[str, object]:
    """What `published.json` says, but for what the publisher gave."""
    store = CheckpointStore(run / rundir.CHECKPOINTS)
    tracker = store.manifest(predictor.step)['tracker']
    scores = _scores(run, predictor.step)
    return {
        'format': shelf.FORMAT,
        'juniper': __version__,
        'published': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'run': run.resolve().name,
        'task': type(predictor.job.task).__name__,
        'step': predictor.step,
        'metric': tracker['metric'],
        'score': scores.get(tracker['metric']),
        'scores': scores,
    }


def _scores(run: pathlib.Path, step: int) -> dict[str, float | None]:
    """Of the checkpoint that is published: the results, or those of its evaluation."""
    found = rundir.results(run) or {}
    if found.get('best/step') != step:
        rows = writers.history(run / rundir.METRICS)
        found = next((row for row in rows if row['step'] == step), {})
    return {key: value for key, value in found.items() if results.is_score(key)}


def _make_version(partial: pathlib.Path, place: pathlib.Path) -> None:
    """The one step that publishes; the second of two publishers is refused."""
    try:
        os.rename(partial, place)
    except OSError as error:
        if error.errno in TAKEN:
            _check_free(place)
        raise
