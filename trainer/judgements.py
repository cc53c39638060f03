"""What a few batches and a few steps tell about a run: findings, each with a remedy.

Plain functions of data sets, losses and gradients; each yields (status, message) pairs,
where the status is 'mistake' or 'warning'.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from trainer import imbalance
from trainer.data import Dataset
from trainer.job import Job
from trainer.tasks import Task

Verdicts = Iterator[tuple[str, str]]
ROOM = 0.9  # of the memory, and of the free disk, that a run may take
SMALL = 64 * 2**20  # bytes of images that may all be looked at
HARD = 4  # times the loss of a net that knows nothing


def judge_classes(role: str, dataset: Dataset, task: Task) -> Verdicts:
    """Whether every class can be learnt from the examples there are.

    Args:
      role: 'train', 'eval' or 'test'.
      dataset: with `label_counts()` where it has labels.
      task: prepared; may weigh the classes.
    """
    if role != 'train' or not dataset.class_names:
        return
    counts = dataset.label_counts()
    empty = [dataset.class_names[index] for index in np.flatnonzero(counts == 0)]
    if empty:
        yield (
            'mistake',
            f'the training data has no example of {", ".join(empty[:5])}: '
            f'choose another split, or drop the class',
        )
    elif uneven := imbalance.uneven(dataset, task):
        yield 'warning', uneven


def judge_images(role: str, dataset: Dataset, batches: Sequence[dict]) -> Verdicts:
    """Whether the pixels of some batches can be learnt from."""
    for batch in batches:
        images = np.asarray(batch['image'], np.float32)[batch['mask']]
        places = batch['index'][batch['mask']]
        bad = ~np.isfinite(images).all(axis=tuple(range(1, images.ndim)))
        if bad.any():
            yield (
                'mistake',
                f'{role} example {places[bad][0]} has values that are not finite '
                f'({bad.sum()} of {len(bad)} looked at): mend or drop it',
            )
            return
    pixels = np.concatenate([batch['image'][batch['mask']] for batch in batches])
    if len(pixels) > 1 and (pixels == pixels[0]).all():
        yield 'mistake', f'all {len(pixels)} {role} images looked at are the same'
    given = dataset.images.std
    std = np.asarray(1.0 if given is None else given, np.float32)
    if (std <= 0).any():
        yield 'mistake', f'{role}/Images.std is {std.tolist()}; give values above 0'


def some(dataset: Dataset, batches: int) -> list[dict]:
    """Its first batches; all where a pixel may be no number, if they are not many."""
    floats = np.asarray(dataset[0]['image']).dtype.kind == 'f'
    whole = floats and dataset.num_bytes <= SMALL
    return list(itertools.islice(dataset.eval_batches(), None if whole else batches))


def judge_overlap(datasets: dict[str, Dataset]) -> Verdicts:
    """Whether what is scored has been trained on."""
    train = datasets['train']
    for role, dataset in datasets.items():
        if role != 'train' and dataset.fingerprint == train.fingerprint:
            yield (
                'warning',
                f'{role}_data is the training data itself, so its scores say nothing '
                f'of new images: give it another split',
            )


def judge_rate(rates: np.ndarray) -> Verdicts:
    """Whether the learning rate moves anything.

    Args:
      rates: at every step of the run.
    """
    if not np.isfinite(rates).all():
        yield 'mistake', 'the learning rate is not finite at some steps: mend schedule'
    elif (rates <= 0).all():
        yield 'mistake', 'the learning rate is 0 at every step: set LEARNING_RATE'


def judge_steps(job: Job, losses: Sequence[float], norms: Sequence[float]) -> Verdicts:
    """What the losses and gradient norms of the first steps say."""
    if not all(map(math.isfinite, (*losses, *norms))):
        yield (
            'mistake',
            f'the loss or a gradient is not finite after {len(losses)} steps (losses '
            f'{_listed(losses)}): lower LEARNING_RATE, or set adamw.clip_norm',
        )
        return
    if max(norms) == 0:
        yield (
            'mistake',
            'every gradient is 0, so nothing is learnt: the outputs do not depend on '
            'the parameters, or the loss is constant',
        )
    classes = len(job.datasets['train'].class_names)
    if classes > 1 and losses[0] > HARD * math.log(classes) + 1:
        yield (
            'warning',
            f'the first loss is {losses[0]:.1f}, where knowing nothing gives '
            f'{math.log(classes):.1f}: look at Images.mean and std, and the head',
        )
    if losses[-1] > 3 * losses[0] + 1:
        yield (
            'warning',
            f'the loss grows from the first step on ({_listed(losses)}): lower '
            f'LEARNING_RATE, or set warmup_cosine.warmup',
        )


def judge_motion(job: Job, still: Sequence[str], deaf: Sequence[str]) -> Verdicts:
    """Whether the parameters that should move have moved, or will.

    Args:
      job: the run.
      still: those that have not moved.
      deaf: those of them, or of the first of them, that the outputs do not depend on;
        a gradient of 0 at the start may pass.
    """
    trained = job.recipe.trained
    if still and len(still) == len(trained):
        yield 'mistake', 'no parameter moved: is the learning rate 0?'
    elif deaf:
        yield (
            'warning',
            f'{len(deaf)} of {len(trained)} parameters do not move, such as {deaf[0]}: '
            f'freeze them, or connect them to the outputs',
        )


def judge_memory(needed: float, limit: int | None, remedy: str) -> Verdicts:
    """Whether a step fits on the device, both in bytes; else what mends it."""
    if limit and needed > ROOM * limit:
        yield (
            'mistake',
            f'a step needs {needed / 2**30:.1f} GiB and the device has '
            f'{limit / 2**30:.1f}: {remedy}',
        )


def judge_disk(kept: int, needed: float, free: int) -> Verdicts:
    """Whether the checkpoints that are kept fit on the disk; sizes in bytes."""
    if needed > ROOM * free:
        yield (
            'mistake',
            f'{kept} checkpoints take {needed / 2**30:.2f} GiB and '
            f'{free / 2**30:.2f} are free: set Checkpoints.keep, or make room',
        )


def step_memory(compiled) -> int:
    """Bytes that a compiled step takes on a device at most, as XLA counts them."""
    analysis = compiled.memory_analysis()
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
        - analysis.alias_size_in_bytes
    )


def _listed(numbers: Sequence[float]) -> str:
    return ', '.join(f'{number:.3g}' for number in numbers)
