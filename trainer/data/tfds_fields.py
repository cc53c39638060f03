"""Which features of a TFDS data set are which label fields, and how each is read.

Knows features and what they decode to; no record and no split.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from trainer.data.masks import number_classes
from trainer.data.objects import pack_objects
from trainer.data.source import IGNORE
from trainer.errors import UserError

MASK_WORDS = ('mask', 'segment')
ORDER = ('label', 'boxes', 'labels', 'segmentation', 'target')  # the first is learnt


@dataclasses.dataclass(frozen=True)
class Field:
    """A label field: how its feature is read, once decoded.

    Attributes:
      key: of the feature.
      names: of its classes, or of the numbers to predict.
    """

    key: str
    names: tuple[str, ...]

    attribute: ClassVar[str] = 'class_names'  # of `Examples`: what the names are
    imageless: ClassVar[tuple[str, ...]] = ()  # fields that need no image

    def read(self, value, shape: tuple[int, ...]) -> dict:
        """A decoded feature -> label fields; `shape` is the image's."""
        raise NotImplementedError


class Label(Field):
    """One class."""

    imageless = ('label',)

    def read(self, value, shape):
        return {'label': int(value)}


class Labels(Field):
    """Several classes at once."""

    imageless = ('labels',)

    def read(self, value, shape):
        present = np.isin(np.arange(len(self.names)), np.asarray(value, int))
        return {'labels': present.astype(np.float32)}


class Target(Field):
    """Numbers to predict."""

    attribute, imageless = 'target_names', ('target',)

    def read(self, value, shape):
        return {'target': np.asarray(value, np.float32).reshape(-1)}


@dataclasses.dataclass(frozen=True)
class Boxes(Field):
    """Objects; TFDS's boxes are fractions of the image.

    Attributes:
      box, label: keys in the feature.
      number: N.
    """

    box: str
    label: str
    number: int

    imageless = ('box_labels', 'crowd')

    def read(self, value, shape):
        boxes = [np.asarray(box) * (*shape[:2], *shape[:2]) for box in value[self.box]]
        own = [(box[2] - box[0]) * (box[3] - box[1]) for box in boxes]
        areas, crowd = value.get('area', own), value.get('is_crowd')
        return pack_objects(self.number, boxes, value[self.label], areas, crowd)


@dataclasses.dataclass(frozen=True)
class Segmentation(Field):
    """The class of each pixel.

    Attributes:
      classes: of each number in the masks.
    """

    classes: tuple[int, ...]

    attribute = 'segmentation_names'

    def read(self, value, shape):
        return {'segmentation': np.array(self.classes, np.uint8)[value[..., 0]]}


def find_fields(
    name: str, info, wanted: Sequence[str] | None, decode_all: Callable
) -> tuple[str, list[Field]]:
    """The key of the image, and the label fields.

    Args:
      name: of the data set, for messages.
      info: TFDS's.
      wanted: names of ORDER; None for the first that there is.
      decode_all: key -> that feature of every record of all splits, where what it holds
        is not known beforehand.

    Raises:
      UserError: no image, or no such field.
    """
    features, supervised = info.features, info.supervised_keys or ()
    found = {kind: _only(keys, supervised) for kind, keys in _by_kind(features).items()}
    present = [kind for kind in ORDER if found[kind]]
    chosen = present[:1] if wanted is None else list(wanted)
    if not found['image'] or not chosen or not set(chosen) <= set(present):
        listed = ', '.join(f'{k} ({type(f).__name__})' for k, f in features.items())
        kinds = f'label fields {", ".join(chosen)}' if wanted else 'one ClassLabel'
        raise UserError(
            f'{name} does not say what to learn: one Image and {kinds} (or Tfds.fields '
            f'of {", ".join(ORDER)}) are expected, its features are {listed}.'
        )
    makers = {
        'label': _label,
        'labels': _labels,
        'boxes': _boxes,
        'target': _target,
        'segmentation': _segmentation,
    }
    fields = [
        makers[kind](found[kind], features[found[kind]], decode_all) for kind in chosen
    ]
    return found['image'], fields


def _by_kind(features) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {kind: [] for kind in (*ORDER, 'image')}
    for key, feature in features.items():
        kind = _kind(key, feature)
        if kind:
            found[kind].append(key)
    return found


def _kind(key, feature):
    f = tfds.features
    if isinstance(feature, f.LabeledImage):
        return 'segmentation'
    if type(feature) is f.Image:
        is_mask = any(word in key.lower() for word in MASK_WORDS)
        return 'segmentation' if is_mask else 'image'
    if isinstance(feature, f.ClassLabel):
        return 'label'
    if isinstance(feature, f.Sequence):
        inner = feature.feature
        if isinstance(inner, f.ClassLabel):
            return 'labels'
        kinds = (
            {type(part) for part in inner.values()} if hasattr(inner, 'values') else ()
        )
        return 'boxes' if {f.BBoxFeature, f.ClassLabel} <= set(kinds) else None
    numbers = type(feature) in (f.Tensor, f.Scalar) and len(feature.shape) < 2
    return (
        'target' if numbers and np.issubdtype(feature.np_dtype, np.floating) else None
    )


def _only(keys, supervised):
    """The only key of a kind, else the supervised one; None where neither is."""
    if len(keys) != 1:
        keys = [key for key in keys if key in supervised]
    return keys[0] if len(keys) == 1 else None


def _label(key, feature, every):
    return Label(key, tuple(feature.names))


def _labels(key, feature, every):
    return Labels(key, tuple(feature.feature.names))


def _target(key, feature, every):
    size = int(np.prod(feature.shape))
    return Target(
        key, (key,) if size == 1 else tuple(f'{key}_{i}' for i in range(size))
    )


def _boxes(key, feature, every):
    kinds = {type(part): name for name, part in feature.feature.items()}
    box, label = kinds[tfds.features.BBoxFeature], kinds[tfds.features.ClassLabel]
    number = max([1, *(len(value[label]) for value in every(key))])
    return Boxes(key, tuple(feature.feature[label].names), box, label, number)


def _segmentation(key, feature, every):
    names = getattr(feature, 'names', None)
    values = range(len(names or ()))
    if not names:
        values = sorted(set().union(*(np.unique(mask).tolist() for mask in every(key))))
    meaning, names = number_classes(list(values), names)
    classes = tuple(meaning.get(value, IGNORE) for value in range(256))
    return Segmentation(key, tuple(names), classes)
