"""Finds a prepared TFDS data set by name, or prepares it; reads no example.

Knows where data sets lie and what to tell a user whose data set does not.
"""

import contextlib
import difflib
import importlib.util
import io
import logging
import pathlib
import re
import tempfile
from contextlib import redirect_stderr, redirect_stdout

import tensorflow_datasets as tfds
from etils import epath

from trainer.errors import UserError

EMBEDDED = pathlib.Path(__file__).parent  # holds NAME/VERSION of what Juniper ships


def find_builder(name: str, data_dir: str | None):
    """The builder of a prepared data set.

    Args:
      name: `name`, `name/config`, `name:version` or `name/config:version`.
      data_dir: the folder that holds NAME/VERSION, or one prepared data set itself;
        None looks at what is embedded, then where TFDS does.

    Raises:
      UserError: unknown data set, config or version, or one that was never prepared
        where there is no TensorFlow to prepare it.
    """
    if data_dir and (epath.Path(data_dir) / 'dataset_info.json').exists():
        return tfds.builder_from_directory(data_dir)
    if data_dir is None and base_name(name) in embedded():
        data_dir = str(EMBEDDED)
    with _quiet(), _temporary_files_removed():
        try:
            builder = tfds.builder(name, data_dir=data_dir)
        except ImportError as error:
            raise UserError(_needs(name, error.name)) from error
        except (ValueError, AssertionError, FileNotFoundError) as error:
            raise UserError(_unknown(name, data_dir)) from error
        prepared = builder.is_prepared()
    return builder if prepared else _prepare(name, data_dir)


def base_name(name: str) -> str:
    """'cifar10' of 'cifar10:3.0.2' and of 'cifar10/plain:3.0.2'."""
    return re.split('[:/]', name)[0]


def embedded() -> list[str]:
    """Names of the data sets that ship with Juniper."""
    return [path.parents[1].name for path in EMBEDDED.glob('*/*/dataset_info.json')]


def tensorflow_is_installed() -> bool:
    """Looked up, not imported."""
    return importlib.util.find_spec('tensorflow') is not None


def _prepare(name, data_dir):
    if not tensorflow_is_installed():
        raise UserError(_needs(name, 'tensorflow'))
    builder = tfds.builder(name, data_dir=data_dir, file_format='array_record')
    builder.download_and_prepare()
    return builder


def _needs(name, module):
    package = 'tensorflow-cpu' if module == 'tensorflow' else module
    return (
        f'data set {name} was never prepared on this machine, and preparing it takes '
        f'{module}: run `pip install {package}` and this command again, or point '
        f'Images.data_dir at a prepared copy.'
    )


def _unknown(name, data_dir):
    known = sorted({*embedded(), *_lying_in(data_dir), *_registered()})
    base = base_name(name)
    if base in known:
        versions = _versions(base, data_dir)
        found = f'found: {", ".join(versions)}' if versions else 'none is prepared here'
        return f'data set {base} has no version or config {name!r}; {found}.'
    near = difflib.get_close_matches(base, known, n=3, cutoff=0.5)
    hint = f'did you mean {" or ".join(near)}?' if near else f'embedded: {embedded()}.'
    return f'unknown data set {name!r}; {hint} A name is one of TFDS or of data_dir.'


def _registered():
    # Community data sets would be asked for over the network, and need TensorFlow.
    return tfds.list_builders(with_community_datasets=False)


def _lying_in(data_dir):
    if data_dir is None or not epath.Path(data_dir).is_dir():
        return []
    return [path.name for path in epath.Path(data_dir).iterdir() if path.is_dir()]


def _versions(base, data_dir):
    root = epath.Path(data_dir or tfds.core.constants.DATA_DIR) / base
    if not root.is_dir():
        return []
    found = [*root.glob('*/dataset_info.json'), *root.glob('*/*/dataset_info.json')]
    return sorted(str(path.parent.relative_to(root)) for path in found)


@contextlib.contextmanager
def _quiet():
    """Keeps TFDS's remarks on folders and imports off the screen."""
    logger = logging.getLogger('absl')
    level = logger.level
    logger.setLevel(logging.ERROR)
    unheard = io.StringIO()
    try:
        with redirect_stdout(unheard), redirect_stderr(unheard):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _temporary_files_removed():
    """TFDS makes a folder for each data set that was never prepared, and leaves it."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as place:
        tempfile.tempdir = place
        try:
            yield
        finally:
            tempfile.tempdir = before
