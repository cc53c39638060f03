"""A state in one directory, described by fingerprints when it is written and verified
by them when it is read.

Knows pytrees of arrays and their manifest; not which checkpoint is wanted, or why.
"""

import pathlib

import jax
import jax.numpy as jnp

from trainer import manifest as manifests
from trainer import orbax_files, processes
from trainer.errors import Ending, TrainingFailed, UserError
from trainer.fingerprints import fingerprints, named_leaves
from trainer.manifest import Damaged


def seal(facts: dict, step: int, state) -> dict:
    """The manifest of a state: the caller's facts and what `load` will verify."""
    leaves = _describe(named_leaves(state))
    for name, fingerprint in fingerprints(state).items():
        leaves[name]['fingerprint'] = fingerprint
    _check_same(leaves)
    return manifests.make(facts, step, leaves)


def _check_same(leaves: dict[str, dict]) -> None:
    """Raises TrainingFailed where a process has other arrays than process 0."""
    digests = processes.gather(manifests.digest(leaves))
    wrong = [index for index, one in enumerate(digests) if one != digests[0]]
    if wrong:
        raise TrainingFailed(
            f'the state of process {wrong[0]} is not that of process 0: a device '
            f'computed wrongly, and nothing of it was saved. Look at both machines; '
            f'the same command goes on from the last checkpoint.'
        )


def start_save(directory: pathlib.Path, state, manifest: dict):
    """Begins to write a state and its manifest; returns a future."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    arrays = _not_empty(named_leaves(state))
    return orbax_files.start_save(directory, arrays, manifest)


def load(directory: pathlib.Path, manifest: dict, abstract_state, wanted=None):
    """A state that is, bit for bit, the one that was saved, placed as is asked.

    Args:
      directory: the checkpoint's.
      manifest: its verified manifest.
      abstract_state: a pytree of `jax.ShapeDtypeStruct` with shardings.
      wanted: the same with None for what is not to be read; None for all.

    Raises:
      UserError: paths, shapes or types differ (nothing is ever cast), or the machine
        is short of something.
      Damaged: it is not what was saved; names the leaf where that is known.
    """
    manifests.check_leaves(manifest, _describe(named_leaves(abstract_state)))
    wanted = abstract_state if wanted is None else wanted
    structs = {name: _struct(leaf) for name, leaf in named_leaves(wanted).items()}
    arrays = processes.together(lambda: _read(directory, structs), Damaged)
    leaves = {n: arrays[n] if n in arrays else _empty(structs[n]) for n in structs}
    _verify(manifest, fingerprints(leaves))
    return jax.tree.unflatten(jax.tree.structure(wanted), leaves.values())


def _read(directory: pathlib.Path, structs: dict) -> dict:
    try:
        arrays = orbax_files.load(directory, _not_empty(structs))
    except Ending:
        raise
    except Exception as error:
        raise _unreadable(directory, error, structs) from error
    if absent := [n for n, leaf in arrays.items() if not isinstance(leaf, jax.Array)]:
        raise Damaged(f'{absent[0]} is not there')
    return arrays


def verify_arrays(directory: pathlib.Path, manifest: dict) -> None:
    """Reads every array of a checkpoint, whatever its state is made of.

    Raises:
      UserError: the machine is short of something.
      Damaged: an array is not what was saved; names the leaf where that is known.
    """
    described = manifest['leaves'].items()
    load(
        directory,
        manifest,
        {
            name: jax.ShapeDtypeStruct(tuple(leaf['shape']), jnp.dtype(leaf['dtype']))
            for name, leaf in described
        },
    )


def _describe(leaves: dict) -> dict[str, dict]:
    """Shape and type of every leaf, as JSON."""
    return {
        name: {'shape': list(leaf.shape), 'dtype': str(leaf.dtype)}
        for name, leaf in leaves.items()
    }


def _struct(leaf) -> jax.ShapeDtypeStruct:
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _not_empty(leaves: dict) -> dict:
    """Orbax refuses arrays of no elements; they are made anew from their shape."""
    return {name: leaf for name, leaf in leaves.items() if leaf.size}


def _empty(struct: jax.ShapeDtypeStruct) -> jax.Array:
    return jnp.zeros(struct.shape, struct.dtype, device=struct.sharding)


def _verify(manifest: dict, found: dict[str, str]) -> None:
    for name, fingerprint in found.items():
        if manifest['leaves'][name]['fingerprint'] != fingerprint:
            raise Damaged(f'{name} is not what was saved')


def _unreadable(directory: pathlib.Path, error: Exception, names) -> Exception:
    """Whether Orbax could not load for damage, or because the machine is short."""
    reason = orbax_files.reason(error)
    if not orbax_files.is_damage(error):
        return UserError(
            f'{directory} cannot be read here: {reason}. It may be good, so nothing '
            f'was moved; mend this and start again.'
        )
    name = orbax_files.mentioned(error, names)
    return Damaged(f'{name} cannot be read' if name else f'unreadable, {reason}')
