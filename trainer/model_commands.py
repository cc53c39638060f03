"""The commands that apply a trained net or hand it on; `main.py` found the flags.

Each takes the parsed flags and the words after the command, and gives an exit code or
raises an `errors.Ending`. Answers go to stdout, whatever else is said to stderr.
"""

import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

from trainer import answers
from trainer.errors import DONE, UserError
from trainer.questions import run_of
from trainer.screen import tell

OF_RUNS = ('workdir', 'resume', 'checkpoint')  # flags that name a net of a run
BESIDE = {  # by format, what export writes, behind the name of --out, and of which kind
    'safetensors': {'': ['.safetensors']},
    'stablehlo': {'': ['.stablehlo', '.hlo', '.mlir'], '.json': ['.json']},
}


def predict(flags, words: Sequence[str]) -> int:
    """What a run says of image files, as rows, COCO results, masks and overlays."""
    if not words:
        raise UserError(
            'predict needs images: give files, folders or globs, as in '
            '`python main.py predict photos/ --workdir=runs/NAME_TIME`.'
        )
    source = source_of(flags, 'predict')
    if flags.features:
        return features(flags, source, words)
    from trainer.compilation import enable_cache
    from trainer.guard import guarded
    from trainer.image_files import find_images
    from trainer.predict import open_predictor
    from trainer.remedies import of_predicting

    images, seen = find_images(words), []
    read = [*images, *filter(None, [flags.annotations])]
    answers.check_out(flags.out, inputs=read)
    form = flags.format or answers.format_of(flags.out)
    if flags.annotations and form != 'coco':
        raise UserError('--annotations gives ids to results: add --format=coco.')
    folders = folders_of(flags, words, images)
    enable_cache()
    predictor = open_predictor(*source)
    found = pictured(predictor, images, folders)
    found = (seen.append(path) or (path, one) for path, one in found)
    rows = rows_of(found, predictor.data, flags, form)
    with guarded(predictor.job, advise=of_predicting):
        answers.write(answers.lines(rows, form), flags.out)
    tell(
        f'{len(seen)} of {len(images)} predicted by {source[0]}, step {predictor.step}'
    )
    return DONE


def features(flags, source: tuple[pathlib.Path, str], words: Sequence[str]) -> int:
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
    from trainer.guard import guarded
    from trainer.image_files import find_images
    from trainer.predict import open_predictor
    from trainer.remedies import of_predicting

    images = find_images(words)
    answers.check_out(out, ['.npz'], images)
    enable_cache()
    predictor = open_predictor(*source)
    with guarded(predictor.job, advise=of_predicting):
        shapes = write_features(predictor, images, out)
    maps = ', '.join(f'{name} {list(shape)}' for name, shape in shapes.items())
    tell(f'wrote {out} of {source[0]}, step {predictor.step}: files, {maps}')
    return DONE


def export(flags, words: Sequence[str]) -> int:
    """Writes a run's net for others, such as weights that PyTorch loads."""
    directory, checkpoint = source_of(flags, 'export')
    form, out = flags.format or 'safetensors', flags.out
    for suffix, known in BESIDE[form].items():
        answers.check_out(out and out + suffix, known)
    from trainer import export as room

    if flags.model and not out:
        out = f'{directory.parent.name}-{directory.name}.{form}'
    options = {'naming': flags.naming, 'checkpoint': checkpoint}
    tell(f'wrote {room.export(directory, form, out=out, **options)}')
    return DONE


def publish(flags, words: Sequence[str]) -> int:
    """Keeps a run's net under a name and a version."""
    name = flags['as'].value
    if len(words) != 1 or not name or not flags.version:
        raise UserError(
            'publish needs one run, a name and a version: '
            'python main.py publish runs/NAME_TIME --as=NAME --version=1.0.0.'
        )
    from trainer import registry

    said = {'note': flags.note, 'licence': flags.licence}
    options = {'checkpoint': flags.checkpoint, 'root': flags.registry}
    made = registry.publish(words[0], name, flags.version, **said, **options)
    tell(
        f'published {made}: {made.path}, {made.bytes / 1e6:,.1f} MB, sha256 '
        f'{made.sha256[:12]}; {made.path / "card.md"} says what it is'
    )
    return DONE


def source_of(flags, command: str) -> tuple[pathlib.Path, str]:
    """The run that flags name, or the verified version, and its checkpoint.

    Raises:
      UserError: neither is named, or both, or it is not there, or is damaged.
    """
    if flags.model is None:
        if flags.registry is not None:
            raise UserError('--registry is where --model is looked for: add --model.')
        return run_of(flags, command, flags.checkpoint), flags.checkpoint
    for flag in (flag for flag in OF_RUNS if flags[flag].present):
        raise UserError(f'--model says which net, and so does --{flag}: give one.')
    from trainer import registry

    published = registry.find(flags.model, flags.registry).verify()
    return published.path, str(published.step)


def folders_of(flags, words: Sequence[str], images: Sequence[pathlib.Path]) -> dict:
    """The folders for pictures that flags name, by flag.

    Raises:
      UserError: they cannot be written to, or hold what must stay.
    """
    from trainer.answer_pictures import Folder

    named = [flag for flag in ('masks', 'overlays') if flags[flag].value]
    folders = {flag: Folder(flag, flags[flag].value) for flag in named}
    for folder in folders.values():
        folder.check(words, images)
    if len({os.path.realpath(folder.path) for folder in folders.values()}) < len(named):
        raise UserError(
            f'--masks and --overlays both name {flags.masks}, where their files would '
            f'have the same names; name two folders.'
        )
    return folders


def pictured(predictor, images: Sequence[pathlib.Path], folders) -> Iterable[tuple]:
    """What is found in each file, with masks and overlays where there are folders."""
    from trainer import answer_pictures as pictures

    found, data = predictor.found(images), predictor.data
    if 'masks' in folders:
        found = pictures.with_masks(found, folders['masks'])
    if 'overlays' in folders:
        found = pictures.with_overlays(found, folders['overlays'], data)
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


COMMANDS: dict[str, Callable] = {
    'export': export,
    'predict': predict,
    'publish': publish,
}
