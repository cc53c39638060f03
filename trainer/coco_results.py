"""Predictions as COCO's tools read them: boxes and keypoints, with the ids of a .json.

Knows COCO's format of results; no task and no net. References:
https://cocodataset.org/#format-results.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data.source import printable
from trainer.errors import UserError
from trainer.readable import bbox, short

HALF = 0.5  # COCO's keypoints name pixels, ours lie in the middle of them


class ImageIds:
    """The id of each file: that of a .json, or what the file's name says."""

    def __init__(self, annotations: str | None = None):
        """Reads a .json of COCO's, where one is given.

        Raises:
          UserError: it cannot be read, or is not COCO's.
        """
        self.annotations, self._known = annotations, {}
        for image in _images(annotations) if annotations else ():
            name = pathlib.PurePath(image['file_name'])
            self._known.setdefault(name.name, []).append((name, image['id']))

    def __call__(self, path: pathlib.Path) -> object:
        """Such as 139 of '000000000139.jpg'; the stem where that is no number.

        Raises:
          UserError: the .json has no such image.
        """
        if not self.annotations:
            return int(path.stem) if path.stem.isdecimal() else path.stem
        for name, identity in self._known.get(path.name, ()):
            if path.absolute().parts[-len(name.parts) :] == name.parts:
                return identity
        raise UserError(
            f'{printable(self.annotations)} has no image {printable(str(path))}; '
            f'predict the images that it names, or leave --annotations out.'
        )


def results(
    image_id: object,
    found: Mapping[str, np.ndarray],
    category_ids: Sequence[int],
    keypoint_category: int,
) -> list[dict]:
    """One entry for each object that is found in an image.

    Args:
      image_id: of the image.
      found: in pixels of the file: `boxes` [N, 4], `box_labels` [N] and `scores` [N],
        and perhaps `keypoints` [N, K, 3] of x, y and certainty; or `keypoints` [K, 3]
        and `score` [] of one object.
      category_ids: of the classes.
      keypoint_category: the id of the category that has the keypoints.

    Raises:
      UserError: there are neither boxes nor keypoints.
    """
    if {'boxes', 'box_labels', 'scores'} <= set(found):
        there = np.flatnonzero(np.asarray(found['box_labels']) >= 0)
        return [_object(image_id, category_ids, found, row) for row in there]
    if {'keypoints', 'score'} <= set(found):
        return [_person(image_id, keypoint_category, found)]
    raise UserError(
        f"COCO's results are boxes or keypoints, and this run predicts "
        f'{", ".join(found)}; leave out --format=coco.'
    )


def categories(data) -> tuple[tuple[int, ...], int]:
    """The ids of the classes, and of the one with the keypoints; else 1, 2, ...

    Args:
      data: what a run remembers: `class_names`, and the ids where it knows them.
    """
    ids = getattr(data, 'category_ids', ()) or range(1, 1 + len(data.class_names))
    pointed = getattr(data, 'keypoint_category', None)
    return tuple(ids), 1 if pointed is None else pointed


def _object(image_id, category_ids, found, row: int) -> dict:
    entry = {
        'image_id': image_id,
        'category_id': category_ids[found['box_labels'][row]],
        'bbox': bbox(found['boxes'][row]),
        'score': short(found['scores'][row]),
    }
    if 'keypoints' in found:
        entry['keypoints'] = _named_pixels(found['keypoints'][row])
    return entry


def _person(image_id, category, found) -> dict:
    return {
        'image_id': image_id,
        'category_id': category,
        'keypoints': _named_pixels(found['keypoints']),
        'score': short(found['score']),
    }


def _named_pixels(keypoints) -> list[float]:
    """[K, 3] as COCO has them, one list."""
    points = np.asarray(keypoints, np.float32).copy()
    points[:, :2] -= np.float32(HALF)
    points[:, 2] = 1  # as COCO advises: nothing reads it
    return short(points.reshape(-1))


def _images(annotations: str) -> list[dict]:
    name = printable(annotations)
    try:
        content = json.loads(pathlib.Path(annotations).expanduser().read_text())
        return [{key: i[key] for key in ('id', 'file_name')} for i in content['images']]
    except OSError as error:
        raise UserError(
            f'--annotations={name} cannot be read: {error.strerror}.'
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'--annotations={name} is no COCO file ({type(error).__name__}: {error}); '
            f'its images need id and file_name.'
        ) from error
