"""The backbone's maps of image files, in one npz that `numpy.load` reads.

Holds one batch in memory, however many files there are; the npz is whole or not there.
"""

import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from trainer.errors import UserError
from trainer.predict import Function, Predictor

FILES = 'files'  # the name beside those of the maps
COPIED = 1 << 20  # bytes at a time


def write_features(
    predictor: Predictor, paths: Sequence[pathlib.Path], out: str | os.PathLike
) -> dict[str, tuple[int, ...]]:
    """Writes `map_0`, `map_1`, ... fine to coarse, and the names of their `files`.

    Args:
      predictor: of a run whose model is a `Net`.
      paths: files; those that are no images are warned of and left out.
      out: the npz; an older one is replaced whole.

    Returns:
      The shape of each map, `[files, H, W, D]`, or `[files, D]` where it is pooled.

    Raises:
      UserError: a model without a backbone, no image at all, or the npz cannot be
        written.
    """
    out, function = pathlib.Path(out).expanduser(), maps_of(predictor)
    try:
        with tempfile.TemporaryDirectory(prefix=f'.{out.name}.', dir=out.parent) as at:
            spool = Spool(pathlib.Path(at))
            for named, arrays in predictor.outputs(paths, function):
                spool.add(named, arrays)
            whole = pathlib.Path(at) / out.name
            spool.pack(whole)
            whole.replace(out)
    except OSError as error:
        raise UserError(
            f'--out={out} cannot be written: {os.strerror(error.errno)}.'
        ) from error
    return spool.shapes


def maps_of(predictor: Predictor) -> Function:
    """`(params, model_state, images) -> {'map_0': [B, H, W, D] float32, ...}`.

    Raises:
      UserError: the run's model has no `features`.
    """
    network = predictor.job.recipe.network
    model = network.eval_model(predictor.params, predictor.model_state)
    if not hasattr(model, 'features'):
        raise UserError(
            f'{type(model).__name__} has no features: give it features(images), a list '
            f'of its maps, or build it as a Net of backbone and head.'
        )

    def maps(params, model_state, images):
        found = network.eval_model(params, model_state).features(images)
        return {f'map_{i}': one.astype(jnp.float32) for i, one in enumerate(found)}

    return maps


class Spool:
    """Rows of arrays as they come, in a file for each name, until they are packed."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._files: list[str] = []
        self._rows: dict[str, tuple[tuple[int, ...], str]] = {}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all arrays so far, by name."""
        count = len(self._files)
        return {name: (count, *shape) for name, (shape, _) in self._rows.items()}

    def add(self, paths: Sequence[pathlib.Path], arrays: Mapping[str, np.ndarray]):
        """Appends a batch: a row of each array for each file."""
        self._files += map(str, paths)
        for name, rows in arrays.items():
            self._rows[name] = rows.shape[1:], np.lib.format.dtype_to_descr(rows.dtype)
            with (self._folder / name).open('ab') as file:
                file.write(np.ascontiguousarray(rows))

    def pack(self, path: pathlib.Path) -> None:
        """Writes all as an npz that holds its place after a crash."""
        with path.open('wb') as file:
            with zipfile.ZipFile(file, 'w') as archive:
                with _member(archive, FILES) as member:
                    np.save(member, np.array(self._files), allow_pickle=False)
                for name, shape in self.shapes.items():
                    with _member(archive, name) as member:
                        self._copy(name, shape, member)
            file.flush()
            os.fsync(file.fileno())

    def _copy(self, name, shape, member) -> None:
        said = {'shape': shape, 'fortran_order': False, 'descr': self._rows[name][1]}
        np.lib.format.write_array_header_2_0(member, said)
        with (self._folder / name).open('rb') as rows:
            shutil.copyfileobj(rows, member, COPIED)


def _member(archive: zipfile.ZipFile, name: str):
    """A place for one array; maps of many files may be larger than 4 GB."""
    return archive.open(f'{name}.npy', 'w', force_zip64=True)
