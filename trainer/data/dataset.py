"""Dataset: an opened `Images`, its facts and its batches; knows no file format.

A batch is {'image' [B, H, W, C] uint8, 'mask' [B] bool (False is padding), 'index' [B]
int32 (the example's place in the data set)} and the label fields that docs/design.md
lists; on each process only its share of it.
"""

import functools
from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np

from trainer.data import statistics
from trainer.data.checks import check_batch, check_normalisation
from trainer.data.held import Held, gather_batches, in_thread, row_batches
from trainer.data.images import Images
from trainer.data.order import Balanced, Sequential, Shuffled
from trainer.data.reader import Checked, Reader, enough_pixels, split_transforms
from trainer.data.skipping import Replacing, Skips
from trainer.data.source import Examples
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
      num_bytes: of all images after the transforms.
      examples: the source's, those that cannot be read replaced.
      fixed, random: the transforms before the first that takes chance, and the rest.
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
        self.examples = Replacing(source, images.on_error)
        transforms = images.host_transforms
        self.fixed, self.random = split_transforms(transforms)
        source.enough = enough_pixels(transforms)
        probe = Reader(self.examples, transforms)(0, np.random.default_rng(0))
        self.image_shape = tuple(probe['image'].shape)
        self.num_bytes = self.num_examples * probe['image'].nbytes
        check_normalisation(source.name, images, self.image_shape[-1])
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
        check_batch(self.source.name, self.images.batch, self.num_examples)
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

    @functools.cached_property
    def _label_counts(self):
        fields = self.source.labels_known or self.examples[0]
        return statistics.label_counts(self.source, fields, self.num_classes)

    def pixel_counts(self) -> np.ndarray:
        """Pixels of each class of the segmentation, [classes] int64; reads them all."""
        return statistics.pixel_counts(
            self.eval_batches(), len(self.segmentation_names)
        )

    @functools.cached_property
    def target_statistics(self):
        """Mean and standard deviation of each target, or None; see `statistics`."""
        return statistics.target_statistics(self.source)

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
        order = self._order(seed)
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

    def train_rows(self, seed: int, start_step: int, *share: int) -> Iterator[Batch]:
        """What `train_batches` holds, as rows of `held`: {'row' [B], 'mask' [B]}."""
        return self._rows(self._order(seed), start_step, share)

    def eval_rows(self, *share: int) -> Iterator[Batch]:
        """What `eval_batches` holds, as rows of `held`."""
        return self._rows(Sequential(self.num_examples, self.images.batch), 0, share)

    def _rows(self, order, start_step, share):
        self._check_share(order, share)
        return row_batches(self.held, order, start_step, share)

    def _batches(self, order, start_step, share):
        self._check_share(order, share)
        if self.gathers:
            return gather_batches(self.held, order, start_step, share)
        from trainer.data.batches import read_batches  # Grain takes long to import

        workers = self.images.workers
        batches = read_batches(self._reader, order, start_step, share, workers)
        return self._skips.watch(batches, order, start_step, share)

    def _check_share(self, order, share):
        if order.batch % share[1]:
            raise UserError(
                f'Images.batch is {order.batch}, which does not divide over '
                f'{share[1]} processes; choose a multiple of {share[1]}.'
            )

    def _order(self, seed) -> Shuffled:
        check_batch(self.source.name, self.images.batch, self.num_examples)
        facts = self.num_examples, self.images.batch, seed
        if self.images.sampler is None:
            return Shuffled(*facts)
        return Balanced(*facts, statistics.classes_of(self.source, self.examples[0]))

    @property
    def holds(self) -> bool:
        """Whether what the fixed transforms leave is kept in the host's memory."""
        if self.images.cache == 'auto':
            return not self.random and self.num_bytes <= SMALL
        return self.images.cache in ('host', 'device')

    @property
    def gathers(self) -> bool:
        """Whether a batch is one gather from memory, for which nobody waits."""
        return self.holds and not self.random

    @property
    def held(self) -> Held:
        """What the fixed transforms leave of all examples, read once."""
        return self.reading.result()

    @functools.cached_property
    def reading(self) -> Future:
        """`held`, on its way in a thread since this was first asked for."""
        return in_thread(self._read)

    def _read(self) -> Held:
        fixed = Reader(self.examples, self.fixed)
        held = Held(fixed if self.random else self._checked(fixed))
        self._skips.note(held.replaced)
        return held

    @functools.cached_property
    def _reader(self) -> Checked:
        if self.holds:
            return self._checked(Reader(self.held, self.random))
        if self.images.cache == 'disk':
            return self._checked(Reader(self._packed, self.random))
        return self._direct

    @functools.cached_property
    def _packed(self):
        from trainer.data.packed import open_packed, pack_key, written_at

        on_error = self.images.on_error
        files = written_at(self.source)
        data = f'{self.fingerprint} at {self.source.enough}, files of {files}'
        key = pack_key(data, self.fixed, on_error)
        fixed = Reader(self.examples, self.fixed)
        return open_packed(self.images.cache_dir, key, fixed)

    @functools.cached_property
    def _direct(self) -> Checked:
        transforms = [*self.fixed, *self.random]
        return self._checked(Reader(self.examples, transforms))

    def _checked(self, reader):
        return Checked(reader, self.source, self.image_shape)
