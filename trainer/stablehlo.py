"""A trained run as one StableHLO program: pictures in, answers out, no Juniper needed.

Normalisation, net and decoding lie inside, the weights too; the number of images is
left open. `jax.export.deserialize(bytes).call(images)` runs it (docs/serve.md).
"""

import hashlib
import json

import jax
import numpy as np
from jax import export

from trainer import __version__, files, steps
from trainer.errors import UserError
from trainer.predict import Predictor

PLATFORMS = ('cpu', 'cuda', 'tpu')
BATCHES = (1, 3)  # numbers of images on which the program is compared with the run
TOLERANCE = 1e-5  # of the largest answer


def program_of(predictor: Predictor) -> dict[str, bytes]:
    """The program, and beside it, as JSON, what one must know to use it.

    Raises:
      UserError: the net cannot be written for any number of images, or the program
        does not answer as the run does.
    """
    answer, shape = _answerer(predictor), predictor.data.image_shape
    kind = np.uint8 if len(shape) == 3 else np.float32
    try:
        (batch,) = export.symbolic_shape('batch')
        images = jax.ShapeDtypeStruct((batch, *shape), kind)
        exported = export.export(jax.jit(answer), platforms=PLATFORMS)(images)
    except (ValueError, TypeError, NotImplementedError) as error:
        first = str(error).partition('\n')[0]
        raise UserError(f'This net cannot be exported: {first}') from error
    difference = _difference(answer, exported, shape, kind)
    if not difference <= TOLERANCE:
        raise UserError(
            f'The exported program differs from the run by {difference:.2g} of the '
            f'largest answer, and at most {TOLERANCE:g} is allowed; nothing is written.'
        )
    content = bytes(exported.serialize())
    facts = _facts(predictor, exported, difference)
    facts['sha256'] = hashlib.sha256(content).hexdigest()
    return {'': content, '.json': json.dumps(files.plain(facts), indent=2).encode()}


def _answerer(predictor: Predictor):
    """`images [B, ...] -> {name: array [B, ...]}`, around weights on the host."""
    weights = jax.device_get((predictor.params, predictor.model_state))
    prepare = steps.make_prepare(predictor.images)

    def answer(images):
        return predictor.decode(*weights, prepare({'image': images})['image'])

    return answer


def _difference(answer, exported, shape, kind) -> float:
    """The largest difference on random images, as a part of the largest answer."""
    draw, worst = np.random.default_rng(0), 0.0
    for batch in BATCHES:
        images = draw.uniform(0, 256, (batch, *shape)).astype(kind)
        pairs = zip(
            jax.tree.leaves(jax.jit(answer)(images)),
            jax.tree.leaves(exported.call(images)),
            strict=True,
        )
        for ours, theirs in pairs:
            ours, theirs = (np.asarray(x, np.float64) for x in (ours, theirs))
            largest = max(np.abs(ours).max(initial=0), np.finfo(np.float32).tiny)
            worst = max(worst, float(np.abs(ours - theirs).max(initial=0) / largest))
    return worst


def _facts(predictor: Predictor, exported, difference: float) -> dict:
    (images,), data = exported.in_avals, predictor.data
    mean, std = (np.ravel(value).tolist() for value in predictor.normalisation)
    named = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    return {
        'input': _described(images),
        'outputs': {name: _described(aval) for name, aval in named.items()},
        'class_names': data.class_names,
        'inside': {'mean': mean, 'std': std, 'of': 'pixels / 255'},
        'platforms': exported.platforms,
        'parity': {'difference': difference, 'allowed': TOLERANCE, 'batches': BATCHES},
        'step': predictor.step,
        'versions': {'juniper': __version__, 'jax': jax.__version__},
    }


def _described(aval) -> dict:
    return {'shape': [str(size) for size in aval.shape], 'dtype': str(aval.dtype)}
