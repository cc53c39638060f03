"""The commands that apply a trained net or hand it on; `main.py` found the flags.

Each takes the parsed flags and the words after the command, and gives an exit code or
raises an `errors.Ending`. Answers go to stdout, whatever else is said to stderr.
"""

import itertools
import pathlib
from collections.abc import Callable, Iterable, Sequence

from trainer import answers
from trainer.errors import DONE, UserError
from trainer.questions import run_of
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


COMMANDS: dict[str, Callable] = {'export': export, 'predict': predict}
