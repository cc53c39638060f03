"""Predicts image files with a trained run; the data that it learnt from is not needed.

Images are brought to what the net was trained on by the transforms of the run's own
evaluation. Knows tasks by `decode` alone, and nothing of how answers are written.
"""

import dataclasses
import functools
import itertools
import os
import pathlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np

from trainer import parallel, rundir, steps, watchdog, which_run
from trainer.checkpoints import CheckpointStore
from trainer.console import warn
from trainer.data.facts import RememberedData
from trainer.errors import UserError
from trainer.evaluate import chosen_step, experiment_of
from trainer.expected import expectation
from trainer.frames import Frame
from trainer.image_files import ImageReader, Word, find_images
from trainer.job import Job, make_job
from trainer.network import Arrays
from trainer.readable import readable

READ_AHEAD = 2  # batches that threads decode while one is predicted

Function = Callable[[Arrays, Arrays, jax.Array], dict[str, jax.Array]]


def predict(
    directory: str | os.PathLike,
    paths: Word | Sequence[Word],
    *,
    checkpoint: str = 'best',
    top: int = 5,
) -> list[dict]:
    """What a run says of images, in their order; files that are none are warned of.

    Args:
      directory: the run's.
      paths: files, folders (with all below them) or globs, or one of them.
      checkpoint: 'best', 'last' or a step.
      top: how many classes of each image, the likeliest first.

    Returns:
      For each image {'file': 'a.png', 'label': 'cat', 'probability': 0.9, 'top':
      [{'label': 'cat', 'probability': 0.9}, ...]}; for tasks other than classification
      the file and what `readable` says. Places are in pixels of the file.

    Raises:
      UserError: no run or checkpoint of that name, a damaged one, or no image at all.
    """
    return list(open_predictor(directory, checkpoint).rows(find_images(paths), top))


def open_predictor(directory: str | os.PathLike, checkpoint: str) -> 'Predictor':
    """A run's net at one verified checkpoint; never at another one.

    Raises:
      UserError: as `predict` does.
    """
    directory = which_run.here(directory, checkpoint)
    experiment = experiment_of(directory)
    store = CheckpointStore(directory / rundir.CHECKPOINTS)
    step = chosen_step(store, checkpoint)
    data = RememberedData(store.manifest(step)['train_data'])
    job = make_job(experiment, {'train': data})
    state, _ = store.load(step, job.abstract_state(), scoring=True)
    return Predictor(job, step, *state.weights)


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained net, and how files are brought to it.

    Attributes:
      job: the run, on data that is only remembered.
      step: of the checkpoint.
      params, model_state: its weights.
    """

    job: Job
    step: int
    params: Arrays
    model_state: Arrays

    @property
    def data(self) -> RememberedData:
        """What the run remembers of what it learnt from."""
        return self.job.datasets['train']

    @property
    def normalisation(self) -> tuple:
        """Mean and std that an image is brought to, in units of [0, 1]."""
        return self.images.normalisation(pixels=len(self._image_shape) == 3)

    @property
    def preprocessing(self) -> dict[str, object]:
        """What pictures the net expects, as `preprocessing_of` says it of weights."""
        mean, std = (np.ravel(value).tolist() for value in self.normalisation)
        return {'mean': mean, 'std': std, **expectation(self.images.host_transforms)}

    def rows(self, paths: Sequence[pathlib.Path], top: int = 5) -> Iterator[dict]:
        """What `predict` returns, row by row as it comes; raises as `found` does."""
        for path, found in self.found(paths):
            yield row(path, found, self.data, top)

    def found(self, paths: Sequence[pathlib.Path]) -> Iterator[tuple]:
        """Each file with what the task reads in it, places in pixels of the file.

        Raises:
          UserError: not one of the files is an image.
        """
        for batch, frames, decoded in self._framed(paths, self.decode):
            for position, (path, frame) in enumerate(zip(batch, frames, strict=True)):
                one = {key: value[position] for key, value in decoded.items()}
                yield path, frame.to_file(one)

    def decode(self, params: Arrays, model_state: Arrays, images: jax.Array):
        """Normalised images [B, H, W, C] -> what the task reads from the outputs."""
        task, network = self.job.task, self.job.recipe.network
        apply = functools.partial(network.apply, params, model_state)
        return task.decode(task.eval_outputs(apply, {'image': images}))

    def from_pixels(self, function: Function) -> Function:
        """The same function of images in uint8, which it normalises."""
        prepare = steps.make_prepare(self.images)

        def run(params, model_state, images):
            return function(params, model_state, prepare({'image': images})['image'])

        return run

    def outputs(
        self, paths: Sequence[pathlib.Path], function: Function
    ) -> Iterator[tuple[list[pathlib.Path], dict[str, np.ndarray]]]:
        """Any function of net and images, in batches through one compiled program.

        Args:
          paths: files; those that are no images are warned of and left out.
          function: `(params, model_state, images) -> {name: array [B, ...]}`, jittable;
            the images are normalised as in training.

        Yields:
          The files of a batch, and by each name an array with a row for each.

        Raises:
          UserError: not one of the files is an image.
        """
        for named, _, arrays in self._framed(paths, function):
            yield named, arrays

    def _framed(self, paths, function: Function):
        """As `outputs`, with the frames of the files."""
        size, batch = self._batch_size(len(paths)), ()
        reader = ImageReader(self.images.host_transforms, self._image_shape)
        run = self._compile(function, size)
        watchdog.beat('a batch of pictures')
        for batch in _batches(_read(reader, paths, READ_AHEAD * size), size):
            named, framed = zip(*batch, strict=True)
            images, frames = zip(*framed, strict=True)
            padding = [np.zeros_like(images[0])] * (size - len(images))
            placed = parallel.place(
                {'image': np.stack([*images, *padding])}, self.job.mesh
            )
            arrays = jax.device_get(run(self.params, self.model_state, placed['image']))
            arrays = {key: value[: len(named)] for key, value in arrays.items()}
            watchdog.rest()  # who takes them may pause, as a pager does
            yield list(named), frames, arrays
            watchdog.beat('a batch of pictures')
        if not batch:
            raise UserError(
                f'Nothing was predicted: of {len(paths)} files none is an image; name '
                f'image files, folders that hold some, or globs.'
            )

    @property
    def images(self):
        """The data as the run was evaluated on it."""
        experiment = self.job.experiment
        return experiment.eval_data or experiment.test_data or experiment.train_data

    @property
    def _image_shape(self) -> tuple[int, ...]:
        return self.data.image_shape

    def _batch_size(self, count: int) -> int:
        """As in evaluation; for few images the next power of two. Fills all devices."""
        devices = self.job.mesh.size
        size = min(self.images.batch, 1 << max(0, count - 1).bit_length())
        return -(-size // devices) * devices

    def _compile(self, function: Function, size: int):
        mesh = self.job.mesh
        images = jax.ShapeDtypeStruct(
            (size, *self._image_shape), np.uint8, sharding=parallel.over_data(mesh)
        )
        jitted = jax.jit(
            self.from_pixels(function), out_shardings=parallel.replicated(mesh)
        )
        return jitted.lower(self.params, self.model_state, images).compile()


def row(path: pathlib.Path, found: dict, data: RememberedData, top: int = 5) -> dict:
    """What is found in a file, in words."""
    return {'file': str(path), **readable(found, data, top)}


def _read(
    reader: ImageReader, paths: Iterable[pathlib.Path], ahead: int
) -> Iterator[tuple[pathlib.Path, tuple[np.ndarray, Frame]]]:
    """Files and framed images, in order, decoded by threads ahead of their use."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        coming = deque()
        for path in paths:
            coming.append((path, pool.submit(reader, path)))
            if len(coming) > ahead:
                yield from _image(*coming.popleft())
        for path, future in coming:
            yield from _image(path, future)


def _image(path: pathlib.Path, future: Future) -> Iterator:
    """One image, or none and a warning."""
    try:
        yield path, future.result()
    except UserError as error:
        warn(str(error))


def _batches(items: Iterator, size: int) -> Iterator[list]:
    """As many items at a time; the last batch may hold fewer."""
    return iter(lambda: list(itertools.islice(items, size)), [])
