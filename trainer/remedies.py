"""What to do where the memory of a device has run out, in one line.

Names what helps on the backend and with the model that are here, and nothing else.
"""

import contextlib
from collections.abc import Callable, Iterator

import jax

from trainer import overview, parallel
from trainer.errors import UserError
from trainer.experiment import describe
from trainer.job import Job
from trainer.steps import LOOPING


def exhausted(error: Exception) -> bool:
    """Whether XLA says that memory has run out."""
    return 'RESOURCE_EXHAUSTED' in str(error)


@contextlib.contextmanager
def advised(job: Job, advise: Callable[[Job], str] | None = None) -> Iterator[None]:
    """Turns XLA's "out of memory" within the block into one line of advice.

    Args:
      job: what is done.
      advise: the end of that line: what was too much, and what to do; None is that of
        training.

    Raises:
      UserError: memory has run out; with the sizes, and what to do.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not exhausted(error):
            raise
        millions = overview.parameter_count(job) / 1e6
        limit = parallel.device_memory()
        of = f' of {limit / 2**30:.1f} GiB' if limit else ''
        raise UserError(
            f'Out of memory on {overview.describe_devices()}{of}: {millions:.1f} M '
            f'parameters, {(advise or of_training)(job)}.'
        ) from error


def of_training(job: Job) -> str:
    """What is said of a train step that is too large."""
    first, *rest = remedies(job)
    return (
        f'batch {job.experiment.train_data.batch:,}. {first.upper()}{"".join(rest)}; '
        f'`python main.py check --memory` finds the largest batch'
    )


def of_scoring(job: Job, role: str) -> str:
    """What is said of an evaluation that is too large."""
    batch = job.experiment.roles[role].batch
    half = halved(batch, parallel.batch_devices(job.experiment.parallel))
    todo = 'Take a device with more memory, or several with Parallel.fsdp'
    if half:
        todo = (
            f'Set {role}/Images.batch = {half}, which changes no score; what a run '
            f'was told stands in its config.gin'
        )
    return f'batch {batch:,} of {role}. {todo}'


def of_predicting(job: Job) -> str:
    """What is said of a prediction that is too large."""
    return (
        'in batches as large as in evaluation. Name fewer files at once: a batch is no '
        'larger than they are'
    )


def halved(batch: int, unit: int) -> int:
    """At most half of a batch, a multiple of the unit; 0 where there is none."""
    return batch // 2 // unit * unit


def remedies(job: Job, batch: int | None = None) -> str:
    """What to do about a batch that does not fit, as far as it helps on this backend.

    Args:
      job: the run.
      batch: one that fits; None guesses half of the run's, 0 is none.
    """
    if batch is None:
        batch = halved(job.experiment.train_data.batch, unit_of(job))
    *others, last = kept_batch(job)
    size = f'set train/Images.batch = {batch}, or ' if batch else ''
    return (
        f'{size}keep the batch with {", ".join(others)}{" or " if others else ""}{last}'
    )


def kept_batch(job: Job) -> Iterator[str]:
    """What takes less memory for the same batch.

    XLA's CPU backend merges what is to be computed again with what was computed: there
    a U-Net's step takes as much with `remat` as without.
    """
    if jax.default_backend() not in LOOPING:
        yield 'Parallel.fsdp over several machines'
        return
    yield 'Experiment.accumulate'
    flat = describe(job.experiment)
    for key in (key for key in flat if key.endswith('.remat') and not flat[key]):
        yield f'{str(flat[key.removesuffix(".remat")]).lstrip("@")}.remat = True'
    yield 'Parallel.fsdp over several devices'


def unit_of(job: Job) -> int:
    """What every batch is a multiple of."""
    devices = parallel.batch_devices(job.experiment.parallel)
    return devices * job.experiment.accumulate
