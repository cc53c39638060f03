"""What a run remembers of its training data, to be used where that data is not.

A few facts by name, as JSON; knows no example and no file.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

MEANINGS = (  # what the data sets of one run must agree on
    'image_shape',
    'class_names',
    'segmentation_names',
    'keypoint_names',
    'flip_pairs',
    'target_names',
)
FACTS = (
    *MEANINGS,
    'category_ids',
    'keypoint_category',
    'target_statistics',
    'num_examples',
    'steps_per_epoch',
)


@dataclasses.dataclass(frozen=True)
class RememberedData:
    """Stands in for a `Dataset` where a model is built to be applied, not trained.

    Attributes:
      facts: what `facts_of` gave; each is an attribute of its name.
    """

    facts: Mapping[str, object]

    def __getattr__(self, name: str):
        if name not in FACTS or name not in self.facts:
            raise AttributeError(f'A run does not remember {name!r} of its data.')
        return _tuples(self.facts[name])

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    def label_counts(self) -> np.ndarray:
        """One for each class: only a loss weighs classes, and there is none here."""
        return np.ones(self.num_classes, np.int64)

    def pixel_counts(self) -> np.ndarray:
        """As `label_counts`, of the classes of a segmentation."""
        return np.ones(len(self.segmentation_names), np.int64)


def facts_of(dataset) -> dict[str, object]:
    """What to remember of a data set, as far as it has it."""
    return {name: getattr(dataset, name) for name in FACTS if hasattr(dataset, name)}


def _tuples(value):
    """Lists, as JSON has them, become the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
