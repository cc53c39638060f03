"""What stands behind an evaluation's scores: small arrays in a file for each data set.

Reports are drawn from them, long after the run. Knows arrays and a run directory;
nothing of tasks, and no JAX.
"""

import io
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from trainer import files

FOLDER = 'evidence'


def write(directory: pathlib.Path, name: str, arrays: Mapping[str, object]) -> None:
    """Writes `evidence/<name>.npz`, whole or not at all.

    Args:
      directory: the run's.
      name: what scores of the data begin with: 'val', 'test', ...
      arrays: by name; lists of texts too.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, **{k: np.asarray(v) for k, v in arrays.items()})
    (directory / FOLDER).mkdir(exist_ok=True)
    files.write_bytes(directory / FOLDER / f'{name}.npz', packed.getvalue())


def read(directory: pathlib.Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of a data set; none where there is no file, or a damaged one."""
    try:
        with np.load(directory / FOLDER / f'{name}.npz', allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}
