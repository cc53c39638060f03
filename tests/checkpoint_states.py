"""Small states, and stores that hold them, for the tests of checkpoints."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from trainer.checkpoints import CheckpointStore
from trainer.fingerprints import fingerprints

ROOT = pathlib.Path(__file__).resolve().parents[1]


def make_state(seed=0, width=4, dtype='float32') -> dict:
    """A state with leaves of every kind, optimizer's too."""
    rng = np.random.default_rng(seed)
    kernel = jnp.asarray(rng.normal(size=(3, width)), dtype)
    params = {'stem': {'kernel': kernel, 'bias': jnp.zeros(width)}}
    return {
        'step': jnp.int32(seed),
        'params': params,
        'opt_state': optax.adam(1e-3).init(params),
        'half': jnp.asarray(rng.normal(size=5), 'bfloat16'),
        'bytes': jnp.asarray(rng.integers(-9, 9, 6), 'int8'),
        'flags': jnp.asarray([True, False]),
        'none': jnp.zeros((0, 3)),
    }


def abstract(state):
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )


ABSTRACT = abstract(make_state())


def accept(manifest: dict) -> None:
    """No config to compare."""


def saved(directory, *steps, keep=5) -> CheckpointStore:
    """A store with a checkpoint of each of these steps."""
    store = CheckpointStore(directory, keep)
    for step in steps:
        store.save(step, make_state(step), {'epoch': step})
    store.wait()
    return store


def restored(directory):
    return CheckpointStore(directory).restore(ABSTRACT, check=accept)


def assert_same(left, right) -> None:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    assert fingerprints(left) == fingerprints(right)


def files_of(step: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in step.rglob('*') if path.is_file())


def python(code: str, *arguments, **environment):
    """Runs a program; gives what it printed, and asserts that it did not complain."""
    run = subprocess.run(
        [sys.executable, '-c', code, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {'JAX_PLATFORMS': 'cpu'} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, '')
    return run.stdout.splitlines()
