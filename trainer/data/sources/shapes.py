"""Shapes: pictures drawn on the spot, with exact labels of every kind; reads no file.

A picture is a pure function of (seed, split, index), the same on every machine: the
demonstration and the test bed of every task.
"""

import dataclasses
from typing import Annotated, Literal

import gin
import numpy as np
from annotated_types import Ge, Interval

from trainer.data import scenes
from trainer.data.objects import pack_objects
from trainer.data.source import Examples, Source, digest
from trainer.data.splits import cut
from trainer.data.stratify import interleave
from trainer.errors import UserError

VERSION = 1  # of the pictures; another one changes the fingerprint
OFFSET = {'train': 0, 'test': 2**31}  # the number of a split's first picture


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes(Source):
    """Bright shapes on a dark, noisy ground.

    Attributes:
      kind: the label fields: 'label' (one object), 'labels' (which classes are there),
        'target' (x, y and radius of a circle, in sizes of the image), 'segmentation',
        'boxes' (several objects), 'keypoints' (the corners of a quadrilateral, with its
        box), 'poses' (those of several quadrilaterals, each with its box), or
        'everything': boxes, segmentation, and as keypoints the boxes' corners.
      size: side, pixels.
      channels: 3 for colour, 1 for grey.
      num_classes: the first so many of circle, square, triangle, star, cross.
      frequencies: how often each class is drawn, relative; for 'label' alone. None for
        equally often.
      max_objects: N, for several objects.
      noise: of each pixel, at most; levels of 255.
      train, test: number of pictures in each split.
      seed: other pictures of the same kind.
    """

    kind: Literal[
        'label',
        'labels',
        'target',
        'segmentation',
        'boxes',
        'keypoints',
        'poses',
        'everything',
    ] = 'label'
    size: Annotated[int, Ge(16)] = 64
    channels: Literal[1, 3] = 3
    num_classes: Annotated[int, Interval(ge=2, le=len(scenes.OUTLINES))] = 3
    frequencies: tuple[Annotated[float, Ge(0)], ...] | None = None
    max_objects: Annotated[int, Ge(1)] = 4
    noise: Annotated[int, Interval(ge=0, le=100)] = 16
    train: Annotated[int, Ge(1)] = 2000
    test: Annotated[int, Ge(1)] = 400
    seed: Annotated[int, Ge(0)] = 0

    def open(self, split: str) -> 'Drawn':
        """Raises UserError for a split that does not exist."""
        if self.frequencies and len(self.frequencies) != self.num_classes:
            raise UserError(
                f'Shapes.frequencies has {len(self.frequencies)} numbers, but '
                f'Shapes.num_classes is {self.num_classes}; give one for each class.'
            )
        return Drawn(self, split)


class Drawn(Examples):
    """A split of `Shapes`."""

    def __init__(self, shapes: Shapes, split: str):
        self.shapes, self.name = shapes, f'Shapes [{split}]'
        sizes = {'train': shapes.train, 'test': shapes.test}
        numbers = {s: OFFSET[s] + np.arange(sizes[s]) for s in sizes}
        self.numbers = cut('Shapes', split, numbers)
        rows = {s: np.arange(sizes[s]) + (s == 'test') * shapes.train for s in sizes}
        labels = np.concatenate([self._labels(size) for size in sizes.values()])
        self._label = labels[cut('Shapes', split, rows)]
        self.image_shape = (shapes.size, shapes.size, shapes.channels)
        names = tuple(scenes.OUTLINES)[: shapes.num_classes]
        self._name_fields(names)
        facts = dataclasses.asdict(shapes)
        self.fingerprint = digest(VERSION, facts, split, self.numbers.tolist())

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        rng = self._rng(index)
        things = self._things(rng, index)
        shapes = self.shapes
        image = scenes.paint(rng, shapes.size, shapes.channels, shapes.noise, things)
        return {'image': image, **self._fields(things)}

    def column(self, field):
        if field == 'label' and self.shapes.kind == 'label':
            return self._label
        draw = (self._things(self._rng(index), index) for index in range(len(self)))
        return np.array([self._fields(things)[field] for things in draw])

    def _rng(self, index):
        entropy = np.random.SeedSequence((self.shapes.seed, int(self.numbers[index])))
        return np.random.RandomState(np.random.MT19937(entropy))

    def _labels(self, size):
        """Class of each picture of one object, spread evenly."""
        shares = np.array(self.shapes.frequencies or [1.0] * self.shapes.num_classes)
        ends = np.round(np.cumsum(shares) / shares.sum() * size).astype(int)
        labels = np.searchsorted(ends, np.arange(size), side='right')
        return labels[interleave(np.arange(size), labels)]

    def _name_fields(self, names):
        kind = self.shapes.kind
        if kind == 'target':
            self.target_names = ('x', 'y', 'radius')
        elif kind in ('keypoints', 'poses'):
            self.class_names = ('quadrilateral',)
        elif kind != 'segmentation':
            self.class_names = names
        if kind in ('segmentation', 'everything'):
            self.segmentation_names = ('background', *names)
        if kind in ('keypoints', 'poses', 'everything'):
            self.keypoint_names = scenes.CORNERS
            self.flip_pairs = scenes.FLIPPED_CORNERS

    def _things(self, rng, index):
        size, kind = self.shapes.size, self.shapes.kind
        classes = self.shapes.num_classes
        if kind == 'keypoints':
            return [scenes.quadrilateral(rng, size)]
        if kind == 'label':
            labels = [self._label[index]]
        elif kind == 'target':
            labels = [0]
        elif kind == 'labels':
            labels = np.flatnonzero(rng.uniform(size=classes) < 0.5)
        else:
            count = rng.randint(1, self.shapes.max_objects + 1)
            if kind == 'poses':
                return scenes.scatter(rng, size, [0] * count, scenes.cornered)
            labels = rng.randint(classes, size=count)
        return scenes.scatter(rng, size, labels)

    def _fields(self, things):
        kind, size = self.shapes.kind, self.shapes.size
        if kind == 'label':
            return {'label': np.int32(things[0].label)}
        if kind == 'labels':
            present = [thing.label for thing in things]
            found = np.isin(np.arange(self.shapes.num_classes), present)
            return {'labels': found.astype(np.float32)}
        if kind == 'target':
            (y, x), radius = things[0].centre, things[0].radius
            return {'target': np.array([x, y, radius], np.float32) / size}
        fields = {}
        if kind in ('segmentation', 'everything'):
            fields['segmentation'] = _segmentation(things, size)
        if kind != 'segmentation':
            fields |= self._objects(things)
        return fields

    def _objects(self, things):
        kind = self.shapes.kind
        boxes = [thing.box for thing in things]
        keypoints = None
        if kind in ('keypoints', 'poses'):
            keypoints = [_visible(thing.corners) for thing in things]
        elif kind == 'everything':
            keypoints = [_visible(_corners(box)) for box in boxes]
        return pack_objects(
            1 if kind == 'keypoints' else self.shapes.max_objects,
            boxes,
            labels=[thing.label for thing in things],
            areas=[thing.mask.sum() for thing in things],
            keypoints=keypoints,
            num_keypoints=len(scenes.CORNERS),
        )


def _segmentation(things, size):
    """Class of each pixel, 0 for the ground, [size, size] uint8."""
    found = np.zeros((size, size), np.uint8)
    for thing in things:
        found[thing.mask] = thing.label + 1
    return found


def _corners(box):
    y0, x0, y1, x1 = box
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])


def _visible(points):
    """(y, x) -> (x, y, 2), as COCO has it."""
    return np.concatenate([points[:, ::-1], np.full((len(points), 1), 2)], axis=1)
