"""What a checkpoint says about itself, sealed by a hash of its own.

JSON in, JSON out: knows paths, shapes and types of the leaves as text, no arrays and no
Orbax, so that checkpoints can be listed without either.
"""

import functools
import hashlib
import importlib.metadata
import json
import pathlib

from trainer.errors import UserError

VERSION = 1
METADATA_FILE = '_CHECKPOINT_METADATA'  # where Orbax keeps `custom_metadata`
LIBRARIES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'tensorstore')
OUR_KEYS = ('version', 'step', 'leaves', 'libraries', 'sha256')


class Damaged(Exception):
    """A checkpoint that is not what was saved; the message says in what."""


def make(facts: dict, step: int, leaves: dict[str, dict]) -> dict:
    """A sealed manifest.

    Args:
      facts: what the caller wants to find again, as JSON.
      step: the step of the checkpoint.
      leaves: by path, {'shape': [...], 'dtype': str, 'fingerprint': str}.

    Raises:
      ValueError: as `copied` does.
    """
    body = copied(facts) | {
        'version': VERSION,
        'step': int(step),
        'leaves': leaves,
        'libraries': _library_versions(),
    }
    return body | {'sha256': digest(body)}


def copied(facts: dict) -> dict:
    """Facts as they are now, as JSON, whatever becomes of them.

    Raises:
      ValueError: a fact has a name of ours, or is no JSON (NaN is none either).
    """
    taken = sorted(set(facts) & set(OUR_KEYS))
    if taken:
        raise ValueError(f'A manifest may not hold {taken}: these are written here.')
    return json.loads(json.dumps(facts, allow_nan=False))


def read(directory: pathlib.Path) -> dict:
    """The verified manifest of the checkpoint in `directory`, named by its step.

    Raises:
      Damaged: it cannot be read, or is not what was sealed, or of another step.
      UserError: it was written by a newer version.
    """
    try:
        text = (directory / METADATA_FILE).read_text(encoding='utf-8')
        manifest = json.loads(text)['custom_metadata']
        body = {key: value for key, value in manifest.items() if key != 'sha256'}
        sealed = manifest['sha256'] == digest(body)
    except FileNotFoundError as error:
        raise Damaged('its manifest is missing') from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged('its manifest cannot be read') from error
    if not sealed:
        raise Damaged('its manifest has been altered')
    return _check(manifest, directory)


def check_leaves(manifest: dict, wanted: dict[str, dict]) -> None:
    """Compares the leaves of a checkpoint with those that are wanted.

    Args:
      manifest: as `read` gives it.
      wanted: by path, {'shape': [...], 'dtype': str}, in the order of the state.

    Raises:
      UserError: they differ; names the first one, and how many more.
    """
    saved = manifest['leaves']
    paths = [*wanted, *(path for path in saved if path not in wanted)]
    differ = [path for path in paths if _kind(saved, path) != _kind(wanted, path)]
    if differ:
        first, more = differ[0], len(differ) - 1
        others = f', and {more} more differ' if more else ''
        raise UserError(
            f'The checkpoint of step {manifest["step"]} does not fit this experiment: '
            f'{first} is {_kind(saved, first)} in the checkpoint, but '
            f'{_kind(wanted, first)} here{others}. '
            f'Give the config it was made with, or another --workdir.'
        )


def _kind(leaves: dict[str, dict], path: str) -> str:
    if path not in leaves:
        return 'absent'
    shape = ', '.join(map(str, leaves[path]['shape']))
    return f'{leaves[path]["dtype"]} [{shape}]'


def _check(manifest: dict, directory: pathlib.Path) -> dict:
    if manifest['version'] > VERSION:
        raise UserError(
            f'{directory} has format version {manifest["version"]}, but this program '
            f'reads up to {VERSION}; update the program.'
        )
    if str(manifest['step']) != directory.name:
        raise Damaged(f'it holds step {manifest["step"]}')
    return manifest


def digest(body: dict) -> str:
    """SHA-256 of JSON, whatever the order of its keys."""
    canonical = json.dumps(body, sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(canonical.encode()).hexdigest()


@functools.cache
def _library_versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES}
