"""The data sets of a run, and their batches on the mesh as its steps take them.

Knows data sets, steps and the mesh; no model and no file.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import jax
from jax.sharding import Mesh

from trainer import parallel, resident
from trainer.data import Dataset
from trainer.data.facts import MEANINGS
from trainer.data.images import Images
from trainer.divergence import batch_of
from trainer.errors import UserError
from trainer.experiment import Experiment

SCANNING = ('gpu', 'tpu')  # where several steps in one dispatch are faster than one
MOST_STEPS = 32  # in one dispatch
MOST_LAID = 16  # batches laid on the devices in one call
LAID_BYTES = 2**20  # images of which are not more than this


def open_datasets(
    experiment: Experiment, splits: Sequence[str] | None
) -> dict[str, Dataset]:
    """The data sets of an experiment by role; all must be of the same classes.

    Raises:
      UserError: what is said of data, or the devices do not divide as `Parallel` says.
    """
    datasets = {}
    parallel.check_devices(experiment.parallel)
    for split, images in experiment.roles.items():
        if splits is not None and split not in ('train', *splits):
            continue
        parallel.check_batch(f'{split}/Images', images.batch, experiment.parallel)
        datasets[split] = images.open()
        if resident.is_resident(datasets[split]):
            resident.check_resident(datasets[split])
        _check_same_kind(datasets['train'], datasets[split], split)
    _check_accumulate(experiment)
    return datasets


def for_scoring(experiment: Experiment) -> Experiment:
    """A trained experiment as the devices that are here can score it.

    No score depends on the layout or on the size of a batch, so that batches may be a
    little larger where they do not divide.
    """
    layout = experiment.parallel
    layout = layout if parallel.fits(layout) else parallel.Parallel()

    def even(images: Images | None) -> Images | None:
        if images is None:
            return None
        size = parallel.divisible(images.batch, layout)
        return dataclasses.replace(images, batch=size)

    further = {
        name: dataclasses.replace(one, data=even(one.data))
        for name, one in experiment.evaluations.items()
    }
    return dataclasses.replace(
        experiment,
        parallel=layout,
        accumulate=1,
        train_data=even(experiment.train_data),
        eval_data=even(experiment.eval_data),
        test_data=even(experiment.test_data),
        evaluations=further,
    )


def _check_same_kind(train: Dataset, other: Dataset, split: str) -> None:
    for what in MEANINGS:
        expected, came = getattr(train, what), getattr(other, what)
        if expected != came:
            raise UserError(
                f'The {split} data has {what} {came}, but train_data has {expected}; '
                f'both must come from the same classes and be brought to one size.'
            )


def _check_accumulate(experiment: Experiment) -> None:
    parts, batch = experiment.accumulate, experiment.train_data.batch
    devices = parallel.batch_devices(experiment.parallel)
    if batch % (parts * devices):
        raise UserError(
            f'train/Images.batch is {batch}, which does not divide into '
            f'{parts} parts (Experiment.accumulate) over {devices} devices; '
            f'choose a multiple of {parts * devices}.'
        )


def longest_stride(dataset: Dataset, log_every: int) -> int:
    """Steps in one dispatch: a divisor of `log_every`, so that every line is on time.

    One where the data does not lie on the devices, or the devices are CPUs.
    """
    if not resident.is_resident(dataset) or jax.default_backend() not in SCANNING:
        return 1
    most = min(MOST_STEPS, log_every)
    return max(n for n in range(1, most + 1) if log_every % n == 0)


def train_batches(
    dataset: Dataset,
    mesh: Mesh,
    position: tuple[int, int],
    stride: Callable[[int], int],
    skipped: Sequence[int] = (),
) -> Iterator[tuple[dict, int]]:
    """Global batches from a step on, each with the number of steps that it is for.

    Args:
      dataset: what is trained on.
      mesh: what the batches lie on.
      position: (seed, step).
      stride: step -> how many steps are taken at once from there.
      skipped: numbers of batches that are left out.
    """
    (seed, step), share = position, parallel.share(mesh)
    first, is_resident = batch_of(step, skipped), resident.is_resident(dataset)
    held = resident.place_all(dataset, mesh) if is_resident else None
    read = dataset.train_rows if is_resident else dataset.train_batches
    with contextlib.closing(read(seed, first, *share)) as batches:
        wanted = (b for n, b in enumerate(batches, first) if n not in skipped)
        while is_resident:
            count = stride(step)
            rows = list(itertools.islice(wanted, count))
            yield {'rows': resident.place_rows(rows, mesh), 'held': held}, count
            step += count
        together = _laid_together(dataset)
        while several := list(itertools.islice(wanted, together)):
            for batch in parallel.place_several(several, mesh):
                yield batch, 1


def _laid_together(dataset: Dataset) -> int:
    """Batches for one call: what that costs hardly depends on how much is laid.

    One where a batch is large, or has to be waited for.
    """
    if not dataset.gathers:
        return 1
    size = dataset.num_bytes * dataset.images.batch // dataset.num_examples
    return max(1, min(MOST_LAID, LAID_BYTES // size))


def single_batches(
    dataset: Dataset, mesh: Mesh, seed: int
) -> Iterator[tuple[dict, int]]:
    """`train_batches` from the first step on, each for one step wherever data lies."""
    return train_batches(dataset, mesh, (seed, 0), lambda _: 1)


def eval_batches(dataset: Dataset, mesh: Mesh) -> Iterator[dict]:
    """Global batches that hold every example once."""
    share = parallel.share(mesh)
    if resident.is_resident(dataset):
        held = resident.place_all(dataset, mesh)
        for rows in dataset.eval_rows(*share):
            yield {'rows': resident.place_rows([rows], mesh), 'held': held}
        return
    for batch in dataset.eval_batches(*share):
        yield parallel.place(batch, mesh)


def seen_batches(dataset: Dataset, mesh: Mesh) -> Iterator[tuple[dict, dict]]:
    """`eval_batches` of the only process, each after the same batch on the host."""
    if resident.is_resident(dataset):
        yield from zip(dataset.eval_batches(), eval_batches(dataset, mesh), strict=True)
        return
    for batch in dataset.eval_batches():
        yield batch, parallel.place(batch, mesh)
