"""The commands that answer a question and train nothing; `main.py` found the flags.

Each takes the parsed flags and the words after the command, and gives an exit code or
raises an `errors.Ending`. Answers go to stdout, whatever else is said to stderr.
"""

import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence

from trainer import answers, files, rundir
from trainer.errors import DONE, USER_ERROR, UserError
from trainer.screen import tell


def predict(flags, words: Sequence[str]) -> int:
    """What a run says of image files, as rows, COCO results, masks and overlays."""
    if not words:
        raise UserError(
            'predict needs images: give files, folders or globs, as in '
            '`python main.py predict photos/ --workdir=runs/NAME_TIME`.'
        )
    directory = run_of(flags, 'predict')
    answers.check_out(flags.out)
    if flags.features:
        return features(flags, directory, words)
    form = flags.format or answers.format_of(flags.out)
    if flags.annotations and form != 'coco':
        raise UserError('--annotations gives ids to results: add --format=coco.')
    from trainer.compilation import enable_cache
    from trainer.image_files import find_images
    from trainer.predict import open_predictor

    enable_cache()
    predictor = open_predictor(directory, flags.checkpoint)
    images, seen = find_images(words), []
    found = pictured(predictor, images, flags)
    found = (seen.append(path) or (path, one) for path, one in found)
    rows = rows_of(found, predictor.data, flags, form)
    answers.write(answers.lines(rows, form), flags.out)
    tell(
        f'{len(seen)} of {len(images)} predicted by {directory}, step {predictor.step}'
    )
    return DONE


def features(flags, directory: pathlib.Path, words: Sequence[str]) -> int:
    """The backbone's maps of image files, as an npz."""
    given = ('format', 'masks', 'overlays', 'annotations', 'top')
    for flag in (flag for flag in given if flags[flag].present):
        raise UserError(f'--features writes maps alone, so --{flag} says nothing.')
    out = pathlib.Path(flags.out or 'features.npz')
    if out.suffix != '.npz':
        raise UserError(
            f'--features writes an npz; say --out={out.with_suffix(".npz")}.'
        )
    from trainer.compilation import enable_cache
    from trainer.features import write_features
    from trainer.image_files import find_images
    from trainer.predict import open_predictor

    answers.check_out(out)
    enable_cache()
    predictor = open_predictor(directory, flags.checkpoint)
    shapes = write_features(predictor, find_images(words), out)
    maps = ', '.join(f'{name} {list(shape)}' for name, shape in shapes.items())
    tell(f'wrote {out} of {directory}, step {predictor.step}: files, {maps}')
    return DONE


def export(flags, words: Sequence[str]) -> int:
    """Writes a run's net for others, such as weights that PyTorch loads."""
    directory = run_of(flags, 'export')
    answers.check_out(flags.out)
    from trainer import export as room

    form = flags.format or 'safetensors'
    options = {'naming': flags.naming, 'checkpoint': flags.checkpoint}
    tell(f'wrote {room.export(directory, form, out=flags.out, **options)}')
    return DONE


def pictured(predictor, images: Sequence[pathlib.Path], flags) -> Iterable[tuple]:
    """What is found in each file, with the masks and overlays that flags ask for."""
    from trainer import answer_pictures as pictures

    found, data = predictor.found(images), predictor.data
    if flags.masks:
        found = pictures.with_masks(found, pictures.Folder('masks', flags.masks))
    if flags.overlays:
        folder = pictures.Folder('overlays', flags.overlays)
        found = pictures.with_overlays(found, folder, data)
    return found


def rows_of(found: Iterable[tuple], data, flags, form: str) -> Iterable[dict]:
    """What is found, in words or as COCO's results."""
    from trainer import coco_results
    from trainer.predict import row

    if form != 'coco':
        return (row(path, one, data, flags.top) for path, one in found)
    ids = coco_results.ImageIds(flags.annotations)
    categories = coco_results.categories(data)
    results = (coco_results.results(ids(p), one, *categories) for p, one in found)
    return itertools.chain.from_iterable(results)


def models(flags, words: Sequence[str]) -> int:
    """Models by name with their parameters; --flops and --profile tell their costs."""
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
    directory = rundir.find(words[0]) if words else run_of(flags, 'checkpoints')
    found = listed(directory, flags.verify)
    if flags.json:
        _say_json(found)
    elif found:
        _say([checkpoint_table(found, time.time())])
    else:
        tell(f'{directory} has no checkpoint yet.')
    return DONE if all(one.good for one in found) else USER_ERROR


def report(flags, words: Sequence[str]) -> int:
    """Writes the page of runs that are named, whatever became of them."""
    from trainer.report.write import write_report

    found = [run for word in words for run in rundir.find_all(word)]
    found = found or [run_of(flags, 'report')]
    return _say(str(write_report(directory)) for directory in found)


def compare(flags, words: Sequence[str]) -> int:
    """Runs side by side, on the screen or with --out as a page."""
    if not words:
        raise UserError(
            'compare needs runs: give directories or globs, as in '
            "`python main.py compare 'runs/resnet18_*'`."
        )
    answers.check_out(flags.out)
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
    'export': export,
    'predict': predict,
    'models': models,
    'doctor': doctor,
    'runs': runs,
}


def run_of(flags, command: str) -> pathlib.Path:
    """The run that --workdir or --resume names, by its path or a glob.

    Raises:
      UserError: neither is given, or there is no such run.
    """
    if flags.workdir is None and flags.resume is None:
        raise UserError(f'{command} needs a run: give --workdir=runs/NAME_TIME.')
    return rundir.find(flags.resume or flags.workdir)


def _say(lines: Iterable[object]) -> int:
    answers.write((f'{line}\n' for line in lines), None)
    return DONE


def _say_json(items: Iterable) -> int:
    value = files.plain([dataclasses.asdict(item) for item in items])
    return _say([json.dumps(value, indent=2)])
