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
      split: a TFDS split expression: 'train', 'train[:90%]', 'train[10:20]+test'.
      batch: examples in a step, over all processes and devices.
      transforms: on the host, one example at a time: `example -> example`, or with
        chance `(rng: np.random.Generator, example) -> example`; numpy dicts.
      augment: on the device, inside the step: `(key, batch) -> batch`; the image is
        float32 in [0, 1], [B, H, W, C].
      workers: processes that read; 0 reads in threads of this process.
      cache: 'host' decodes once and keeps the images in memory; 'auto' does so where
        they are small and `transforms` leave nothing to chance; None always reads.
      mean: taken from the image after `augment`, in units of [0, 1]; one number or one
        a channel.
      std: divides it after that.
      data_dir: where TFDS looks; None is $TFDS_DATA_DIR, else ~/tensorflow_datasets.
    """

    name: str = 'digits'
    split: str
    batch: Annotated[int, Ge(1)]
    transforms: Sequence[Callable] = ()
    augment: Sequence[Callable] = ()
    workers: Annotated[int, Ge(0)] = 0
    cache: Literal['auto', 'host'] | None = 'auto'
    mean: float | Sequence[float] = 0.5
    std: float | Sequence[float] = 0.5
    data_dir: str | None = None

    def __post_init__(self):
        for field in ('transforms', 'augment'):
            _refuse_references(field, getattr(self, field))

    def open(self) -> 'Dataset':
        """Finds the data and reads its first example.

        Raises:
          UserError: unknown or unprepared data set, a split that does not exist,
            features that are no images with class labels, images of varying size.
        """
        from trainer.data.dataset import Dataset
        from trainer.data.tfds_source import open_tfds

        return Dataset(self, open_tfds(self.name, self.split, self.data_dir))


def _refuse_references(field, steps):
    for step in steps:
        inner = step.func if isinstance(step, functools.partial) else step
        if inspect.isclass(inner):
            name = inner.__name__
            raise UserError(
                f'Images.{field} holds the reference @{name}; evaluate it: @{name}().'
            )
