"""What a net gives for some images, and which of its parameters that depends on.

Asks the net itself; trains nothing.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from trainer import parallel, steps
from trainer.job import Job
from trainer.state import TrainState


def some_images(job: Job) -> dict[str, jax.Array]:
    """A batch of the training data's images, laid on the devices."""
    batch = next(job.datasets['train'].eval_batches())
    return parallel.place({'image': batch['image']}, job.mesh)


def make_outputs(job: Job, decode: bool = False) -> Callable:
    """((params, model_state), images) -> what the net gives, or what that means."""
    prepare = steps.make_prepare(job.experiment.train_data)

    @jax.jit
    def outputs(weights, images):
        apply = functools.partial(job.recipe.network.apply, *weights)
        found = job.task.eval_outputs(apply, prepare(images))
        return job.task.decode(found) if decode else found

    return outputs


def without_effect(job: Job, state: TrainState, names: Sequence[str]) -> list[str]:
    """Those of some parameters that may be anything: the outputs are the same.

    A gradient of 0 does not tell: at the start it may be so for a while.
    """
    if not names:
        return []
    images, outputs = some_images(job), make_outputs(job)
    params, rng = state.params, np.random.default_rng(0)

    def given(params):
        return jax.device_get(outputs((params, state.model_state), images))

    def anything(value):
        return value + rng.normal(size=value.shape).astype(value.dtype)

    usual = given(params)
    tried = {name: given({**params, name: anything(params[name])}) for name in names}
    same = {n: jax.tree.map(np.array_equal, usual, new) for n, new in tried.items()}
    return [name for name in names if jax.tree.all(same[name])]
