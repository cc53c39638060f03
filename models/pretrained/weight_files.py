"""Weight files as arrays by name, and back; nothing in a file is ever executed.

Reads safetensors, and PyTorch's own files where PyTorch is installed. Knows no model.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Mapping

import numpy as np

PYTORCH = ('.pth', '.pt', '.bin', '.ckpt')
WRAPPERS = ('state_dict', 'model', 'model_state', 'state_dict_ema')
PREFIXES = ('module.', '_orig_mod.')  # of DistributedDataParallel and torch.compile


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """What a file holds.

    Attributes:
      path: of the file.
      arrays: numpy arrays by name.
      metadata: strings by name, of the file's own header.
      sha256: of the whole file, hex.
      location: where it was asked for, an address or a path; '' where nobody did.
    """

    path: pathlib.Path
    arrays: Mapping[str, np.ndarray]
    metadata: Mapping[str, str]
    sha256: str
    location: str = ''


def read_weights(path: pathlib.Path) -> WeightFile:
    """Reads a whole file; the last one read is remembered until it changes.

    Raises:
      ValueError: there is no such file, it is damaged, or no weights are in it.
    """
    if path.is_dir():
        raise ValueError(f'{path} is a directory, but no run; name a weight file.')
    if not path.is_file():
        raise ValueError(f'There is no weight file {path}.')
    if path.suffix not in ('.safetensors', *PYTORCH):
        raise ValueError(
            f'{path} is no kind of weight file that is known; give .safetensors, or '
            f'{", ".join(PYTORCH)} where PyTorch is installed.'
        )
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


def write_safetensors(
    path: pathlib.Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a file that is whole or not there; one of that name is replaced.

    Raises:
      OSError: it cannot be written.
    """
    from safetensors.numpy import save

    unfinished = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        with unfinished.open('wb') as file:
            file.write(save(dict(arrays), dict(metadata)))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@functools.lru_cache(maxsize=1)
def _read(path, changed: int, size: int) -> WeightFile:
    read = _safetensors if path.suffix == '.safetensors' else _pytorch
    arrays, metadata = read(path)
    with path.open('rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
    return WeightFile(path, _without_prefix(arrays), metadata, digest)


def _safetensors(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, 'np') as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f'{path} is damaged, or no safetensors: {error}') from error


def _pytorch(path):
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            f'{path} is a file of PyTorch, which is not installed: install torch, or '
            f'save the weights as .safetensors.'
        ) from error
    try:
        found = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        first = (str(error).strip().splitlines() or [''])[0]
        raise ValueError(
            f'{path} is damaged, or holds more than weights, which is not loaded, as '
            f'it could run code ({first[:120]}); save its state_dict as .safetensors.'
        ) from error
    wrapped = isinstance(found, dict) and next(filter(found.get, WRAPPERS), None)
    found = found[wrapped] if wrapped else found
    tensors = found.items() if isinstance(found, dict) else ()
    arrays = {k: _array(v) for k, v in tensors if isinstance(v, torch.Tensor)}
    if not arrays:
        raise ValueError(f'{path} holds no tensors by name; save a state_dict.')
    return arrays, {}


def _array(tensor) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _without_prefix(arrays):
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in arrays):
            arrays = {k.removeprefix(prefix): v for k, v in arrays.items()}
    return arrays
