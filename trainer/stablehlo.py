"""A run as one StableHLO program: images in, decoded answers out, weights inside.

Knows nothing of files. Whoever has jax alone can call what `stablehlo` gives.
"""

import hashlib
import json

import jax
import jaxlib
import numpy as np
from jax import export as jax_export

from models.attention_kernels import portable
from trainer import __version__, files
from trainer.errors import UserError
from trainer.predict import Predictor

PLATFORMS = ('cpu', 'cuda', 'tpu')
SIZES = (1, 3)  # batches at which the program is compared with the run
TOLERANCE = 1e-5  # of a difference, relative where the run's answer exceeds one


def stablehlo(predictor: Predictor, naming: str = '') -> dict[str, bytes]:
    """The program for any batch size, and beside it a card that says what it is.

    Args:
      predictor: the run at one checkpoint.
      naming: not looked at; a program names no weights.

    Returns:
      By suffix of the file: '' is `jax.export.Exported.serialize()`, '.json' the card.

    Raises:
      UserError: the net does not take every batch size, or program and run disagree.
    """
    function = answering(predictor)
    exported = _export(function, predictor.data.image_shape)
    program = bytes(exported.serialize())
    differences = parity(jax_export.deserialize(bytearray(program)).call, predictor)
    card = describe(predictor, exported) | {
        'parity': differences,
        'sha256': hashlib.sha256(program).hexdigest(),
    }
    text = json.dumps(files.plain(card), indent=2, allow_nan=False) + '\n'
    return {'': program, '.json': text.encode()}


def answering(predictor: Predictor):
    """`images uint8 [B, H, W, C] -> {name: array [B, ...]}`, the weights inside."""
    run = predictor.from_pixels(predictor.decode)
    weights = jax.device_get((predictor.params, predictor.model_state))
    return jax.jit(lambda images: run(*weights, images))


def parity(call, predictor: Predictor) -> dict:
    """How far a program is from the run that it came from, at its worst.

    Args:
      call: the program, `images -> {name: array}`.
      predictor: the run; its weights are arguments of what is compared with.

    Returns:
      The batch sizes, the tolerance, and by each output the largest difference.

    Raises:
      UserError: an output is further away than `TOLERANCE`.
    """
    original = jax.jit(predictor.from_pixels(predictor.decode))
    weights = jax.device_get((predictor.params, predictor.model_state))
    worst: dict[str, float] = {}
    for images in _samples(predictor.data.image_shape):
        expected = jax.device_get(original(*weights, images))
        found = jax.device_get(call(images))
        for name, value in expected.items():
            apart = difference(found[name], value)
            worst[name] = max(worst.get(name, 0.0), apart)
    for name, apart in worst.items():
        if not apart <= TOLERANCE:
            raise UserError(
                f'The exported {name} is {apart:.1e} away from the run, more than '
                f'{TOLERANCE:.0e}; nothing was written: export on a CPU in float32.'
            )
    return {'batches': SIZES, 'tolerance': TOLERANCE, 'difference': worst}


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative where `expected` exceeds one; NaN equals NaN."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float('inf')
    found, expected = (np.asarray(value, np.float64) for value in (found, expected))
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid='ignore'):
        apart = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    apart = np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf, posinf=np.inf))
    return float(apart.max(initial=0.0))


def describe(predictor: Predictor, exported: jax_export.Exported) -> dict:
    """What one must know to call the program and to read its answers."""
    mean, std = (np.ravel(value).tolist() for value in predictor.normalisation)
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    return {
        'format': 'jax.export',
        'step': predictor.step,
        'inputs': {'images': _said(exported.in_avals[0])},
        'outputs': {name: _said(aval) for name, aval in outputs.items()},
        'classes': predictor.data.class_names,
        'preprocessing': {'inside': True, 'scale': 1 / 255, 'mean': mean, 'std': std},
        'platforms': exported.platforms,
        'versions': {
            'juniper': __version__,
            'jax': jax.__version__,
            'jaxlib': jaxlib.__version__,
            'calling_convention': exported.calling_convention_version,
        },
    }


def _export(function, image_shape: tuple[int, ...]) -> jax_export.Exported:
    """The program, lowered for each platform with a symbolic batch size."""
    sizes = ', '.join(map(str, ('batch', *image_shape)))
    shape = jax_export.symbolic_shape(sizes)
    images = jax.ShapeDtypeStruct(shape, kind_of(image_shape))
    try:
        with portable():
            return jax_export.export(function, platforms=PLATFORMS)(images)
    except (jax.errors.JAXTypeError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f'This run cannot be exported for every batch size and platform: {reason}'
        ) from error


def kind_of(image_shape: tuple[int, ...]) -> np.dtype:
    """Pixels are uint8, feature vectors float32."""
    return np.dtype(np.uint8 if len(image_shape) == 3 else np.float32)


def _samples(image_shape: tuple[int, ...]):
    """Noise, and smooth pictures as cameras see them, at each batch size."""
    rng, kind = np.random.default_rng(0), kind_of(image_shape)
    for size in SIZES:
        yield rng.integers(0, 256, (size, *image_shape)).astype(kind)
        ramp = np.linspace(0, 255, image_shape[0]).reshape(
            -1, *[1] * len(image_shape[1:])
        )
        light = rng.uniform(0.2, 1.0, (size, *[1] * len(image_shape)))
        yield np.broadcast_to(ramp * light, (size, *image_shape)).astype(kind)


def _said(aval) -> dict:
    """The shape, in which 'batch' stands for any size, and the type."""
    shape = [size if isinstance(size, int) else str(size) for size in aval.shape]
    return {'shape': shape, 'dtype': str(aval.dtype)}
