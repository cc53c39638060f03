"""Images, the description of a data set that a config binds; it reads nothing itself.

Knows no file format and no array: `open` hands the description to the rooms that do,
and imports them only then, so that checking a config stays fast.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import gin
from annotated_types import Ge

from trainer.data.source import Source
from trainer.errors import UserError

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """Which examples, how they are read, and in which batches.

    Attributes:
      name: 'digits' (embedded), or any TFDS data set as `name`, `name/config` or
        `name:version`.
      source: where examples come from instead: @Shapes(), @Csv(), @Coco() ...
      folder: a folder of pictures, one folder in it for each class (`ImageFolder`);
        it wins over `source`, which wins over `name`.
      split: a TFDS split expression: 'train', 'train[:90%]', 'train[10:20]+test'.
      batch: examples in a step, over all processes and devices.
      transforms: on the host, one example at a time: `example -> example`, or with
        chance `(rng: np.random.Generator, example) -> example`; numpy dicts.
      size: short side to which images are resized, and then cropped in the middle,
        where there are no transforms; None is 64 for files, else as they are.
      on_error: 'skip' leaves out what cannot be read or is wrongly labelled, names and
        counts it, and puts the next example in its place; 'fail' ends the run.
      augment: on the device, inside the step: `(key, batch) -> batch`; the image is
        float32 in [0, 1], [B, H, W, C].
      workers: processes that read; 0 reads in threads of this process.
      sampler: 'balanced' shows every class equally often in training, in epochs of the
        same length; None shows every example once.
      cache: 'host' decodes once and keeps the images in memory, those of training while
        their step is compiled; 'device' keeps them on every accelerator too, and
        gathers inside the step; 'disk' packs them once into `cache_dir`, as the
        transforms before the first random one leave them, for this run and later ones;
        'auto' is 'host' where they are small and `transforms` leave nothing to chance;
        None always reads.
      cache_dir: holds what 'disk' has packed, of all runs; safe to delete.
      mean: taken from the image after `augment`, in units of [0, 1]; one number or one
        a channel; None is 0.5 for pixels, and 0 for feature vectors.
      std: divides it after that; None is 0.5 for pixels, and 1 for feature vectors.
      data_dir: where TFDS looks; None is $TFDS_DATA_DIR, else ~/tensorflow_datasets.
    """

    name: str = 'digits'
    source: Source | None = None
    folder: str | None = None
    split: str
    batch: Annotated[int, Ge(1)]
    transforms: Sequence[Callable] = ()
    size: Annotated[int, Ge(1)] | None = None
    on_error: Literal['skip', 'fail'] = 'skip'
    augment: Sequence[Callable] = ()
    workers: Annotated[int, Ge(0)] = 0
    sampler: Literal['balanced'] | None = None
    cache: Literal['auto', 'host', 'device', 'disk'] | None = 'auto'
    cache_dir: str = 'runs/.packed'
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    data_dir: str | None = None

    def __post_init__(self):
        for field in ('transforms', 'augment'):
            _refuse_references(field, getattr(self, field))
        if self.size and self.transforms:
            raise UserError(
                f'Images.size is {self.size}, but Images.transforms are given too; '
                f'set the size of the transforms, such as CenterCrop.size.'
            )

    @property
    def origin(self) -> Source:
        """The source that `folder`, `source` or `name` describes."""
        from trainer.data.sources.image_folder import ImageFolder
        from trainer.data.sources.tfds import Tfds

        if self.folder is not None:
            return ImageFolder(folder=self.folder)
        return self.source or Tfds(name=self.name, data_dir=self.data_dir)

    @property
    def host_transforms(self) -> tuple[Callable, ...]:
        """The transforms, or those that `size` stands for."""
        from trainer.transforms import CenterCrop, ResizeShortSide

        size = self.size or self.origin.default_size
        if self.transforms or not size:
            return tuple(self.transforms)
        return ResizeShortSide(size=size), CenterCrop(size=size)

    def normalisation(self, pixels: bool) -> tuple:
        """`mean` and `std`, or what they are by default for pixels or for vectors."""
        mean, std = (0.5, 0.5) if pixels else (0.0, 1.0)
        return (
            mean if self.mean is None else self.mean,
            std if self.std is None else self.std,
        )

    def open(self) -> 'Dataset':
        """Finds the data and reads its first example.

        Raises:
          UserError: unknown or unprepared data set, a split that does not exist,
            features that are no images with class labels, images of varying size.
        """
        from trainer.data.dataset import Dataset

        return Dataset(self, self.origin.open(self.split))


def _refuse_references(field, steps):
    for step in steps:
        inner = step.func if isinstance(step, functools.partial) else step
        if inspect.isclass(inner):
            name = inner.__name__
            raise UserError(
                f'Images.{field} holds the reference @{name}; evaluate it: @{name}().'
            )
