"""Hands a trained run to others: its net at one verified checkpoint, in their format.

`FORMATS` is the room: a function for each format, all told the same, which gives what
stands in the file and, by suffix, in those beside it. What a net's
weights are called elsewhere is `models/pretrained/`.
"""

import json
import os
import pathlib
from collections.abc import Callable

import jax

from models.pretrained.preprocessing import HEADER
from models.pretrained.saving import foreign_weights, lost_weights
from trainer import files, rundir
from trainer.errors import UserError
from trainer.predict import Predictor, open_predictor
from trainer.stablehlo import stablehlo


def export(
    directory: str | os.PathLike,
    form: str = 'safetensors',
    *,
    naming: str = 'torchvision',
    checkpoint: str = 'best',
    out: str | os.PathLike | None = None,
) -> pathlib.Path:
    """Writes a run's net for others; an older file of that name is replaced whole.

    Args:
      directory: the run's.
      form: one of `FORMATS`.
      naming: whose names bare weights get: 'torchvision' or 'timm'.
      checkpoint: 'best', 'last' or a step.
      out: the file; None is `<naming>.safetensors` or `model.stablehlo` in the run
        directory.

    Returns:
      The file.

    Raises:
      UserError: no such format, run or checkpoint, a net that has no names there or
        no program for all batch sizes, or a file that cannot be written.
    """
    if form not in FORMATS:
        choices = ', '.join(FORMATS)
        raise UserError(f'export writes no {form}; choose --format={choices}.')
    if out is None:
        rundir.check_open(directory)
    stem = naming if form == 'safetensors' else 'model'
    path = pathlib.Path(out or pathlib.Path(directory) / f'{stem}.{form}')
    contents = FORMATS[form](open_predictor(directory, checkpoint), naming)
    try:
        _write(path.expanduser(), contents)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror}.') from error
    return path


def _write(path: pathlib.Path, contents: dict[str, bytes]) -> None:
    """Writes a file and those beside it; when one fails, none of the new ones stays."""
    written = []
    try:
        for suffix, content in contents.items():
            place = path.with_name(path.name + suffix)
            files.write_bytes(place, content)
            written.append(place)
    except OSError:
        for place in written:
            place.unlink()
        raise


def safetensors(predictor: Predictor, naming: str) -> dict[str, bytes]:
    """The weights, which PyTorch loads strictly, and in the header what they expect."""
    from safetensors.numpy import load, save

    net = predictor.job.recipe.network.module
    weights = jax.device_get({**predictor.params, **predictor.model_state})
    try:
        foreign = foreign_weights(net, weights, naming)
        content = save(foreign, header(predictor, naming, len(weights)))
        lost = lost_weights(net, weights, load(content), naming)
    except (ValueError, AttributeError) as error:
        raise UserError(
            f'This run cannot be exported as safetensors: {error} Any net is exported '
            f'as a program by --format=stablehlo.'
        ) from error
    if lost:
        raise UserError(
            f'{len(lost)} arrays do not come back from {naming} names as they were '
            f'({", ".join(lost[:3])}); nothing was written: choose another --naming.'
        )
    return {'': content}


def header(predictor: Predictor, naming: str, count: int) -> dict[str, str]:
    """What one must know to use the weights; JSON where it is no word.

    Args:
      predictor, naming: as `safetensors` takes them.
      count: of arrays, each of which is read back bit for bit before it is written.
    """
    return {
        'format': 'pt',
        'naming': naming,
        'step': str(predictor.step),
        'classes': json.dumps(files.plain(predictor.data.class_names)),
        'input_shape': json.dumps(files.plain(predictor.data.image_shape)),
        'parity': json.dumps({'arrays_read_back': count, 'difference': 0.0}),
        HEADER: json.dumps(predictor.preprocessing),
    }


FORMATS: dict[str, Callable[[Predictor, str], dict[str, bytes]]] = {
    'safetensors': safetensors,
    'stablehlo': stablehlo,
}
