"""Dataset: an opened `Images`, its facts and its batches; knows no file format.

A batch is {'image' [B, H, W, C] uint8, 'mask' [B] bool (False is padding), 'index' [B]
int32 (the example's place in the data set)} and the label fields that docs/design.md
lists; on each process only its share of it.
"""

import functools
from collections.abc import Iterator

import numpy as np

from trainer.data.checks import check_labels
from trainer.data.held import Held
from trainer.data.images import Images
from trainer.data.order import Sequential, Shuffled
from trainer.data.reader import Checked, Reader, enough_pixels, split_transforms
from trainer.data.skipping import Replacing, Skips
from trainer.data.source import Examples
from trainer.data.statistics import pixel_counts, target_statistics
from trainer.errors import UserError

SMALL = 256 * 2**20  # bytes of decoded images that cache='auto' keeps in memory
PROBED_EXAMPLES = 16  # read at the start where the source does not know image sizes

Batch = dict[str, np.ndarray]


class Dataset:
    """Examples by index, and batches that are a pure function of (seed, step).

    Args:
      images: the description.
      source: examples by index.

    Attributes:
      num_examples, num_classes: counts.
      class_names: in the order of the labels.
      segmentation_names, keypoint_names, flip_pairs, target_names: what other label
        fields mean; empty where there is no such field.
      category_ids, keypoint_category: as COCO results name the classes.
      image_shape: (H, W, C) after the transforms; (F,) of feature vectors.
      fingerprint: hex digest of what the data is, wherever it lies.
      skipped: one line for each file or label that was left out so far.

    Raises:
      UserError: no example that can be read, bad labels where `Images.on_error` is
        'fail', or images that the transforms leave at varying sizes.
    """

    def __init__(self, images: Images, source: Examples):
        self.images, self.source = images, source
        self.num_examples = len(source)
        self.class_names = tuple(source.class_names)
        self.segmentation_names = tuple(source.segmentation_names)
        self.keypoint_names = tuple(source.keypoint_names)
        self.flip_pairs = tuple(source.flip_pairs)
        self.target_names = tuple(source.target_names)
        self.category_ids = tuple(source.category_ids)
        self.keypoint_category = source.keypoint_category
        self.num_classes = len(self.class_names)
        self.fingerprint = source.fingerprint
        self._skips = Skips(source, images.on_error)
        self._whole = Replacing(source, images.on_error)
        self._transforms = images.host_transforms
        self._fixed, self._random = split_transforms(self._transforms)
        source.enough = enough_pixels(self._transforms)
        probe = Reader(self._whole, self._transforms)(0, np.random.default_rng(0))
        self.image_shape = tuple(probe['image'].shape)
        self._bytes = probe['image'].nbytes
        self._check_normalisation()
        if None in source.image_shape:
            for index in range(min(PROBED_EXAMPLES, self.num_examples)):
                self[index]

    def __len__(self):
        return self.num_examples

    def __getitem__(self, index: int) -> dict:
        """Example `index` as evaluation would see it: the same at every call."""
        index = range(self.num_examples)[index]
        return self._direct(index, np.random.default_rng(index))

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch of training; the remainder is dropped.

        Raises:
          UserError: the batch is larger than the data.
        """
        self._check_batch()
        return self.num_examples // self.images.batch

    @property
    def skipped(self) -> tuple[str, ...]:
        """What was left out so far, while opening and while reading."""
        return tuple(self._skips.lines)

    def label_counts(self) -> np.ndarray:
        """Examples (of boxes: objects) of each class, [num_classes] int64.

        No image is decoded for it where the source knows its labels.
        """
        return self._label_counts.copy()

    def pixel_counts(self) -> np.ndarray:
        """Pixels of each class of the segmentation, [classes] int64; reads them all."""
        return pixel_counts(self.eval_batches(), len(self.segmentation_names))

    @functools.cached_property
    def target_statistics(self):
        """Mean and standard deviation of each target, or None; see `statistics`."""
        return target_statistics(self.source)

    def column(self, field: str) -> np.ndarray:
        """One label field of all examples that can be read, [N, ...]."""
        return self.source.column(field)

    def train_batches(
        self,
        seed: int,
        start_step: int = 0,
        process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[Batch]:
        """Endless shuffled batches from `start_step` on; batch i depends on (seed, i).

        The union over the processes is the same batch for any number of processes.
        Close the iterator to end what reads ahead of it.

        Raises:
          UserError: the batch is larger than the data or does not divide over the
            processes; while iterating, an example that does not fit.
          TrainingFailed: while iterating, an example that cannot be read.
        """
        self._check_batch()
        order = Shuffled(self.num_examples, self.images.batch, seed)
        return self._batches(order, start_step, (process_index, process_count))

    def eval_batches(
        self, process_index: int = 0, process_count: int = 1
    ) -> Iterator[Batch]:
        """Every example exactly once, in order, the last batch padded (mask False).

        All batches have one shape, and every process has as many. Raises as
        `train_batches`, save that the batch may be larger than the data.
        """
        order = Sequential(self.num_examples, self.images.batch)
        return self._batches(order, 0, (process_index, process_count))

    def _batches(self, order, start_step, share):
        from trainer.data.batches import gather_batches, read_batches

        if order.batch % share[1]:
            raise UserError(
                f'Images.batch is {order.batch}, which does not divide over '
                f'{share[1]} processes; choose a multiple of {share[1]}.'
            )
        if self._holds and not self._random:
            self._note_held()
            return gather_batches(self._held, order, start_step, share)
        workers = self.images.workers
        batches = read_batches(self._reader, order, start_step, share, workers)
        return self._skips.watch(batches, order, start_step, share)

    def _check_batch(self):
        if self.images.batch > self.num_examples:
            raise UserError(
                f'Images.batch is {self.images.batch}, but {self.source.name} has only '
                f'{self.num_examples} examples; choose a smaller batch or a larger '
                f'split.'
            )

    def _check_normalisation(self):
        """A longer mean would silently broadcast a grey image to more channels."""
        channels = self.image_shape[-1]
        for field in ('mean', 'std'):
            count = np.size(getattr(self.images, field))
            if count not in (1, channels):
                raise UserError(
                    f'Images.{field} has {count} values, but the images of '
                    f'{self.source.name} have {channels} channel(s); give one value, '
                    f'or one a channel.'
                )

    @property
    def _holds(self) -> bool:
        if self.images.cache == 'auto':
            return not self._random and self.num_examples * self._bytes <= SMALL
        return self.images.cache == 'host'

    @functools.cached_property
    def _held(self) -> Held:
        fixed = Reader(self._whole, self._fixed)
        return Held(fixed if self._random else self._checked(fixed))

    @functools.cached_property
    def _reader(self) -> Checked:
        if self._holds:
            return self._checked(Reader(self._held, self._random))
        if self.images.cache == 'disk':
            return self._checked(Reader(self._packed, self._random))
        return self._direct

    @functools.cached_property
    def _packed(self):
        from trainer.data.packed import open_packed, pack_key

        on_error = self.images.on_error
        key = pack_key(self.fingerprint, self._fixed, on_error)
        fixed = Reader(self._whole, self._fixed)
        return open_packed(self.images.cache_dir, key, fixed)

    @functools.cached_property
    def _direct(self) -> Checked:
        return self._checked(Reader(self._whole, self._transforms))

    def _checked(self, reader):
        return Checked(reader, self.source, self.image_shape)

    def _note_held(self):
        rows = np.arange(self.num_examples)
        self._skips.note(rows[self._held.fields['index'] != rows])

    @functools.cached_property
    def _label_counts(self):
        fields = self._whole[0]
        if 'labels' in fields:
            return self.column('labels').sum(0).astype(np.int64)
        if 'box_labels' in fields:
            labels = self.column('box_labels')
            return np.bincount(labels[labels >= 0], minlength=self.num_classes)
        if 'label' not in fields:
            return np.zeros(self.num_classes, np.int64)
        labels = self.column('label')
        check_labels(self.source.name, labels, self.num_classes)
        return np.bincount(labels, minlength=self.num_classes)
