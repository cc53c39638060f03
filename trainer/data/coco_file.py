"""Reads a COCO file; what is wrong in it is named by its id, and left out.

Knows images, categories and annotations as COCO writes them; no picture and no split.
"""

import dataclasses
import functools
import json
import math
import os

import numpy as np

from trainer.data.annotated import Record, Thing
from trainer.data.listing import written_path
from trainer.data.run_lengths import decode_runs
from trainer.data.source import printable
from trainer.errors import UserError

TOLERANCE = 1.0  # pixels that a box or keypoint may lie outside without a word


@dataclasses.dataclass
class CocoFile:
    """What a file says.

    Attributes:
      records: its images, in the order of their paths.
      class_names: of the categories, in the order of their ids.
      keypoint_names: of the first category that has some.
      category_ids: of the classes, as results are written with them.
      keypoint_category: the id of the category that has the keypoints.
      problems: one line for each thing that is wrong.
    """

    records: list[Record]
    class_names: tuple[str, ...]
    keypoint_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    keypoint_category: int | None
    problems: list[str]


def read_coco(file: str, images: str) -> CocoFile:
    """Reads a file once for all splits that need it.

    Args:
      file: the .json.
      images: folder of the pictures.

    Raises:
      UserError: there is no such file, or it is not COCO's.
    """
    try:
        status = os.stat(file)
    except OSError as error:
        raise UserError(
            f'{printable(file)} cannot be read: {error.strerror}.'
        ) from error
    return _read_once(file, images, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=4)
def _read_once(file, images, *_):
    name = printable(file)
    try:
        with open(file, encoding='utf-8-sig') as opened:
            content = json.load(opened)
        lists = [content[key] for key in ('images', 'annotations', 'categories')]
        return _Parser(name, images, *lists).result()
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{name} is no JSON that can be read: {error}.') from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{name} is no COCO file ({type(error).__name__}: {error}); expected '
            f'images, annotations and categories.'
        ) from error


class _Parser:
    def __init__(self, name, root, images, annotations, categories):
        self.name, self.root, self.problems = name, root, []
        categories = sorted(categories, key=lambda category: category['id'])
        self.labels = {c['id']: number for number, c in enumerate(categories)}
        self.class_names = tuple(printable(str(c['name'])) for c in categories)
        pointed = next((c for c in categories if c.get('keypoints')), None)
        self.keypoint_names = tuple(map(str, pointed['keypoints'] if pointed else ()))
        self.keypoint_category = pointed['id'] if pointed else None
        self.records: dict[object, Record] = {}
        self.known = set()
        for image in images:
            self._attempt('image', self._take_image, image)
        for annotation in annotations:
            self._attempt('annotation', self._take_annotation, annotation)

    def result(self) -> CocoFile:
        records = sorted(self.records.values(), key=lambda record: record.name)
        names, ids = (self.class_names, self.keypoint_names), tuple(self.labels)
        category = self.keypoint_category
        return CocoFile(records, *names, ids, category, self.problems)

    def _problem(self, what):
        self.problems.append(f'{self.name}: {printable(what)}')

    def _attempt(self, kind, take, entry):
        """Takes an entry; one that lacks something, or has it of another type, not."""
        try:
            take(entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            missing = isinstance(error, KeyError)
            reason = f'there is no {error}' if missing else str(error)[:80]
            identity = entry.get('id') if isinstance(entry, dict) else entry
            self._problem(f'{kind} {str(identity)[:40]}: {reason}')

    def _take_image(self, image):
        identity, name = image['id'], written_path(self.root, image['file_name'])
        self.known.add(identity)
        path = os.path.join(self.root, name)
        if identity in self.records:
            self._problem(f'image {identity} is there twice')
            return
        try:
            size = os.stat(path).st_size
        except (OSError, ValueError) as error:
            reason = getattr(error, 'strerror', None) or error
            self._problem(f'image {identity} ({name}): {reason}')
            return
        sides = int(image['height']), int(image['width'])
        self.records[identity] = Record(identity, name, path, *sides, size)

    def _take_annotation(self, annotation):
        identity, image = annotation.get('id'), annotation['image_id']
        where = f'annotation {identity} of image {image}'
        record = self.records.get(image)
        if record is None:
            if image not in self.known:
                self._problem(f'{where}: there is no such image')
            return
        where = f'{where} ({record.name})'
        label = self.labels.get(annotation['category_id'])
        if label is None:
            self._problem(f'{where}: no category {annotation["category_id"]}')
            return
        outline = self._outline(where, annotation.get('segmentation'), record)
        box = self._box(where, annotation.get('bbox'), outline, record)
        if box is None:
            return
        area = annotation.get('area') or (box[2] - box[0]) * (box[3] - box[1])
        keypoints = self._keypoints(where, annotation.get('keypoints'), record)
        if keypoints is not None and self.keypoint_category is None:
            self.keypoint_category = annotation['category_id']
        crowd = bool(annotation.get('iscrowd', 0))
        record.things.append(
            Thing(identity, label, box, float(area), crowd, keypoints, outline)
        )

    def _outline(self, where, segmentation, record):
        """Polygons [V, 2] of (y, x), or runs; None where there is nothing to paint."""
        if not segmentation:
            return None
        if isinstance(segmentation, dict):
            try:
                decode_runs(segmentation['counts'], record.height, record.width)
            except (ValueError, KeyError, TypeError) as error:
                self._problem(f'{where}: segmentation with {error}')
                return None
            return {'counts': segmentation['counts']}
        polygons = [_numbers(polygon) for polygon in segmentation]
        if any(p is None or len(p) < 6 or len(p) % 2 for p in polygons):
            self._problem(f'{where}: a polygon that is no list of x, y, three and more')
            return None
        return [np.array(p, np.float32).reshape(-1, 2)[:, ::-1] for p in polygons]

    def _box(self, where, bbox, outline, record):
        """(y0, x0, y1, x1) inside the image, or None; from the outline if need be."""
        if bbox is None and outline:
            bbox = _bounds(outline, record)
        numbers = _numbers(bbox)
        if numbers is None or len(numbers) != 4:
            self._problem(f'{where}: the box {bbox} is not x, y, width, height')
            return None
        x, y, width, height = numbers
        if width <= 0 or height <= 0:
            self._problem(f'{where}: the box {bbox} has no area')
            return None
        limits = record.height, record.width
        box = (y, x, y + height, x + width)
        inside = tuple(min(max(v, 0.0), limits[i % 2]) for i, v in enumerate(box))
        gone = inside[0] >= inside[2] or inside[1] >= inside[3]
        if gone or math.dist(box, inside) > TOLERANCE:
            size = f'{record.width} x {record.height}'
            end = 'lies outside' if gone else 'is cut to'
            self._problem(f'{where}: the box {bbox} {end} the image of {size}')
        return None if gone else inside

    def _keypoints(self, where, keypoints, record):
        """[K, 3] of (x, y, visibility), half a pixel added; None where there are none.

        Raises nothing: one that lies outside becomes one that is not labelled.
        """
        if not keypoints:
            return None
        numbers, count = _numbers(keypoints), len(self.keypoint_names)
        if not count:
            count = len(keypoints) // 3
            self.keypoint_names = tuple(map(str, range(count)))
        if numbers is None or len(numbers) != 3 * count:
            self._problem(f'{where}: keypoints that are not {count} times x, y, v')
            return None
        points = np.array(numbers, np.float32).reshape(count, 3)
        points[:, :2] += 0.5
        limits = np.array([record.width, record.height])
        outside = (points[:, :2] < -TOLERANCE) | (points[:, :2] > limits + TOLERANCE)
        wrong = outside.any(1) & (points[:, 2] > 0)
        for number in np.flatnonzero(wrong):
            name = self.keypoint_names[number]
            self._problem(f'{where}: the keypoint {name} lies outside the image')
        points[wrong | (points[:, 2] <= 0)] = 0
        return points


def _bounds(outline, record) -> list[float] | None:
    """x, y, width, height around polygons or runs; None around nothing."""
    if isinstance(outline, list):
        points = np.concatenate(outline)
        low, high = points.min(0), points.max(0)
    else:
        mask = decode_runs(outline['counts'], record.height, record.width)
        points = np.argwhere(mask)
        if not len(points):
            return None
        low, high = points.min(0), points.max(0) + 1
    return [*low[::-1].tolist(), *(high - low)[::-1].tolist()]


def _numbers(values) -> list[float] | None:
    """Finite numbers, or None."""
    if not isinstance(values, list) or not values:
        return None
    good = (isinstance(v, int | float) and math.isfinite(v) for v in values)
    return [float(v) for v in values] if all(good) else None
