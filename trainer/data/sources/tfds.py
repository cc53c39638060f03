"""Tfds: any prepared data set of TensorFlow Datasets, read without TensorFlow."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Literal

import gin

from trainer.data.source import Examples, Source

Field = Literal['label', 'labels', 'boxes', 'segmentation', 'target']


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds(Source):
    """A data set by its TFDS name; what `Images.name` stands for.

    Attributes:
      name: 'digits' (embedded), or `name`, `name/config` or `name:version` of TFDS.
      data_dir: the folder (local or gs://) that holds NAME/VERSION, or one prepared
        data set itself; None is $TFDS_DATA_DIR, else ~/tensorflow_datasets.
      fields: what examples hold: 'label' (a ClassLabel), 'boxes' (a sequence of boxes
        and classes), 'labels' (a sequence of classes), 'segmentation' (a LabeledImage,
        or an image called a mask), 'target' (numbers); None for the first of these
        that there is.
    """

    name: str = 'digits'
    data_dir: str | None = None
    fields: Sequence[Field] | None = None

    def open(self, split: str) -> Examples:
        """Raises UserError for an unknown or unprepared data set, or its split."""
        from trainer.data.tfds_source import open_tfds

        place = self.data_dir and os.path.expanduser(self.data_dir)
        return open_tfds(self.name, split, place, self.fields)
