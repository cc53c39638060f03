"""Images with annotated objects as examples; knows no file format."""

import hashlib

import numpy as np

from trainer.data.checks import check_segmentation_names
from trainer.data.objects import pack_objects
from trainer.data.photos import count_channels
from trainer.data.pictures import conform, decode, read_bytes, sides
from trainer.data.source import IGNORE, Examples, Unreadable, printable


class CocoExamples(Examples):
    """Some images of COCO files.

    Attributes:
      image_ids: of each example, as the .json has them; results are written with them.
    """

    def __init__(self, coco, name: str, records, rows, file, problems):
        self.name, self.problems = name, problems
        self.records = [records[row] for row in rows]
        self.image_ids = [record.identity for record in self.records]
        self.channels = count_channels('', [record.path for record in records])
        self.image_shape = (None, None, self.channels)
        things = [thing for record in records for thing in record.things]
        self.fields = tuple(coco.fields or _present(things, len(file.class_names)))
        fullest = max((len(record.things) for record in records), default=0)
        self.max_objects = coco.max_objects or max(1, fullest)
        if {'boxes', 'keypoints'} & set(self.fields):
            self.class_names = file.class_names
            self.category_ids = file.category_ids
            self.keypoint_category = file.keypoint_category
        if 'keypoints' in self.fields:
            self.keypoint_names = file.keypoint_names
            pairs = _mirrored(file.keypoint_names)
            given = coco.flip_pairs
            self.flip_pairs = pairs if given is None else tuple(map(tuple, given))
        if 'segmentation' in self.fields:
            self.segmentation_names = ('background', *file.class_names)
            check_segmentation_names(name, self.segmentation_names)
        self.fingerprint = self._fingerprint()

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        record = self.records[index]
        example = {'image': self._image(record)}
        if 'segmentation' in self.fields:
            example['segmentation'] = record.paint()
        return example | self._objects(record)

    def column(self, field):
        if field == 'segmentation':
            return super().column(field)
        return np.array([self._objects(record)[field] for record in self.records])

    def files(self, index):
        return (self.records[index].path,)

    def identify(self, index):
        return printable(self.records[index].path)

    def _image(self, record):
        """As the annotator saw it: turned by EXIF or not, as the .json's sizes say."""
        data, name = read_bytes(record.path), printable(record.path)
        for upright in (True, False):
            image = decode(data, name, upright)
            if image.shape[:2] == (record.height, record.width):
                return conform(image, self.channels)
        raise Unreadable(
            f'{name}: {sides(image)} pixels, but the annotations of image '
            f'{record.identity} say {record.width} x {record.height}'
        )

    def _objects(self, record):
        if not {'boxes', 'keypoints'} & set(self.fields):
            return {}
        things = record.things
        if len(things) > self.max_objects:
            things = sorted(things, key=lambda thing: -thing.area)
        keypoints, count = None, len(self.keypoint_names)
        if 'keypoints' in self.fields:
            none = np.zeros((count, 3))
            keypoints = [none if t.keypoints is None else t.keypoints for t in things]
        return pack_objects(
            self.max_objects,
            [thing.box for thing in things],
            [thing.label for thing in things],
            [thing.area for thing in things],
            [thing.crowd for thing in things],
            keypoints,
            count,
        )

    def _fingerprint(self):
        """Of names, sizes and annotations; no picture is opened for it."""
        facts = hashlib.sha256(repr((self.class_names, self.fields)).encode())
        for record in self.records:
            own = record.name, record.size, record.height, record.width
            things = [
                (
                    t.label,
                    t.box,
                    t.area,
                    t.crowd,
                    *map(_plain, (t.keypoints, t.outline)),
                )
                for t in record.things
            ]
            facts.update(repr((own, things)).encode('utf-8', 'surrogateescape'))
        return facts.hexdigest()


def _present(things, num_classes: int) -> list[str]:
    """The fields that the annotations have."""
    fields = ['boxes']
    if any(thing.keypoints is not None for thing in things):
        fields.append('keypoints')
    outlined = any(thing.outline is not None for thing in things)
    if outlined and num_classes < IGNORE:
        fields.append('segmentation')
    return fields


def _mirrored(names) -> tuple[tuple[int, int], ...]:
    """Pairs such as left_eye and right_eye."""
    mirrored = [name.replace('left', 'right') for name in names]
    return tuple(
        (place, names.index(other))
        for place, (name, other) in enumerate(zip(names, mirrored, strict=True))
        if name != other and other in names
    )


def _plain(values):
    """Arrays as lists, in whatever holds them."""
    if isinstance(values, list):
        return [_plain(value) for value in values]
    return values.tolist() if isinstance(values, np.ndarray) else values
