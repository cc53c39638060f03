"""The models that there are by name, with their sizes and costs; no weight is drawn.

Asks `models` for shapes alone, and keeps what it has counted until their code changes.
"""

import contextlib
import dataclasses
import difflib
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from flax import nnx

import models
from models.streams import make_rngs
from trainer import files, model_profiles
from trainer.errors import UserError
from trainer.flops import flops as flops_of
from trainer.places import cache_directory

IMAGE = (224, 224, 3)
CLASSES = 1000
CACHE = 'models.json'


@dataclasses.dataclass(frozen=True)
class Size:
    """What a model costs.

    Attributes:
      name: for `models.create_model`.
      params: how many numbers are learnt, with 1000 classes.
      gflops: 1e9 floating-point operations, a multiplication and an addition being two,
        of one 224x224x3 image forwards as XLA counts the program before it is
        optimised; None where not asked for.
      forward, step: bytes that a device holds at most in evaluation and in a step of
        training; see `model_profiles.memory`. None where not asked for.
    """

    name: str
    params: int
    gflops: float | None = None
    forward: int | None = None
    step: int | None = None

    def __str__(self):
        cost = '' if self.gflops is None else f' {self.gflops:>9.2f}'
        peaks = (peak for peak in (self.forward, self.step) if peak is not None)
        memory = ''.join(f' {peak / 2**20:>11,.0f}' for peak in peaks)
        return f'{self.name:<20} {self.params:>13,}{cost}{memory}'


def header(flops: bool = False, profile: bool = False) -> str:
    """What stands above the sizes."""
    cost = f' {"GFLOPs":>9}' if flops or profile else ''
    memory = f' {"forward MiB":>11} {"step MiB":>11}' if profile else ''
    return f'{"model":<20} {"params":>13}{cost}{memory}'


def matching(patterns: Sequence[str]) -> list[str]:
    """Names of models, in their table's order, that match any shell pattern.

    Raises:
      UserError: a pattern that matches none; names the nearest.
    """
    for pattern in patterns:
        if not models.list_models(pattern):
            known = models.list_models()
            near = difflib.get_close_matches(pattern, known, 3, 0.4) or known
            raise UserError(
                f'No model matches {pattern!r}; nearest: {", ".join(near)}.'
            )
    wanted = {name for p in patterns or ['*'] for name in models.list_models(p)}
    return [name for name in models.list_models() if name in wanted]


def sizes(
    names: Sequence[str], flops: bool = False, batch: int | None = None
) -> Iterator[Size]:
    """The size of each model, as it comes; a quarter of a second each the first time.

    Args:
      names: of models.
      flops: also what an image costs, which takes a second each.
      batch: also the memory of so many images at once, which compiles each model.
    """
    path = cache_directory() / CACHE
    known = _read(path)
    try:
        for name in names:
            found = known.setdefault(name, {})
            if 'params' not in found or (flops and 'gflops' not in found):
                found |= _measure(name, flops)
            memory = _memory(name, batch, found) if batch else {}
            yield Size(
                name, found['params'], found['gflops'] if flops else None, **memory
            )
    finally:
        _write(path, known)


def _measure(name: str, flops: bool) -> dict[str, float]:
    if flops:
        gflops = _forward_flops(nnx.eval_shape(lambda: _make(name))) / 1e9
        return {**_measure(name, False), 'gflops': gflops}
    params = jax.eval_shape(lambda: nnx.state(_make(name), nnx.Param))
    return {'params': sum(x.size for x in jax.tree.leaves(params))}


def _memory(name: str, batch: int, found: dict) -> dict[str, int]:
    """Bytes by what holds them, as this kind of device counts; kept in `found`."""
    key = f'{jax.default_backend()}, batch {batch}'
    if key not in found:
        found[key] = model_profiles.memory(name, batch, IMAGE, CLASSES)
    return found[key]


def _make(name: str) -> nnx.Module:
    rngs = make_rngs(0)
    return models.catalog.maker(name)(input_shape=IMAGE, num_outputs=CLASSES, rngs=rngs)


def _forward_flops(model: nnx.Module) -> float:
    """Of one image in evaluation, counted in the program as it is traced."""
    model.eval()
    graph, state = nnx.split(model)

    def forward(state, image):
        return nnx.merge(graph, state)(image)

    image = jax.ShapeDtypeStruct((1, *IMAGE), jnp.float32)
    traced = jax.jit(forward).trace(state, image)
    analysis = traced.lower().cost_analysis()  # None on GPU and TPU
    return analysis['flops'] if analysis else flops_of(traced.jaxpr)


@functools.cache
def _fingerprint() -> str:
    """Of the code that the numbers depend on."""
    digest = hashlib.sha256(f'{jax.__version__} {CLASSES} {IMAGE}'.encode())
    root = pathlib.Path(models.__file__).parent
    for path in sorted(root.rglob('*.py')):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def _read(path: pathlib.Path) -> dict[str, dict]:
    """What was counted before, of these very models."""
    with contextlib.suppress(OSError, UserError, LookupError, TypeError):
        kept = files.read_json(path)
        if kept['fingerprint'] == _fingerprint():
            return kept['sizes']
    return {}


def _write(path: pathlib.Path, known: dict[str, dict]) -> None:
    with contextlib.suppress(OSError):  # then it is counted anew
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {'fingerprint': _fingerprint(), 'sizes': known})
