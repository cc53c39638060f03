"""Scores of boxes with keypoints against COCO's own tool."""

import contextlib
import io

import numpy as np
import pytest

from tests.detection_cases import make_boxes
from trainer.metrics_instances import keypoint_scores

SIGMAS = (0.03, 0.05, 0.1)


def make_rows(seed, images=25, objects=5, found=30, classes=3):
    """Findings near objects and far from them, crowds, unlabelled, empty images."""
    rng = np.random.default_rng(seed)
    boxes = make_boxes(rng, images, objects, size=(100, 120)).astype(np.float32)
    labels = rng.integers(-1, classes - 1, (images, objects))
    labels[::8] = -1
    low, sides = boxes[..., 1::-1], (boxes[..., 2:] - boxes[..., :2])[..., ::-1]
    places = low[:, :, None] + rng.random((images, objects, 3, 2)) * sides[:, :, None]
    seen = rng.integers(0, 3, (images, objects, 3, 1))
    seen[rng.random((images, objects)) < 0.15] = 0
    keypoints = np.where(seen > 0, np.concatenate([places, seen], axis=-1), 0)
    which = rng.integers(0, objects, found)
    spoilt = rng.choice([0.02, 0.1, 0.6], (images, found, 1, 1))
    noise = rng.normal(size=(images, found, 3, 2)) * spoilt * sides[:, which, None]
    guessed = np.concatenate(
        [places[:, which] + noise, rng.random((images, found, 3, 1))], axis=-1
    )
    wrong = rng.integers(-1, classes, (images, found))
    guesses = np.where(rng.random(wrong.shape) < 0.8, labels[:, which], wrong)
    return {
        'boxes': boxes,
        'box_labels': labels,
        'crowd': (labels >= 0) & (rng.random(labels.shape) < 0.1),
        'areas': (0.6 * sides.prod(axis=-1)).astype(np.float32),
        'keypoints': keypoints.astype(np.float32),
        'found_boxes': boxes[:, which],
        'found_labels': guesses,
        'found_scores': (rng.integers(1, 60, (images, found)) / 60).astype(np.float32),
        'found_keypoints': guessed.astype(np.float32),
    }


def coco_reference(rows, num_classes):
    """AP of keypoints by pycocotools at each similarity, NaN where there is none."""
    coco, evaluation = (
        pytest.importorskip(f'pycocotools.{name}') for name in ('coco', 'cocoeval')
    )
    there, found = (
        np.argwhere(rows[name] >= 0) for name in ('box_labels', 'found_labels')
    )
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            'images': [{'id': i} for i in range(len(rows['boxes']))],
            'categories': [{'id': c} for c in range(num_classes)],
            'annotations': [
                {'id': number, **annotation(rows, *place)}
                for number, place in enumerate(there, 1)
            ],
        }
        data.createIndex()
        results = data.loadRes([result(rows, *place) for place in found])
        tool = evaluation.COCOeval(data, results, 'keypoints')
        tool.params.kpt_oks_sigmas = np.array(SIGMAS)
        tool.evaluate()
        tool.accumulate()
    precision = tool.eval['precision'][..., 0, -1]
    return np.where(precision < 0, np.nan, precision).mean(1)


def annotation(rows, image, row):
    """An object as COCO's files hold it."""
    y0, x0, y1, x1 = map(float, rows['boxes'][image, row])
    points = np.float64(rows['keypoints'][image, row])
    return {
        'image_id': int(image),
        'category_id': int(rows['box_labels'][image, row]),
        'bbox': [x0, y0, x1 - x0, y1 - y0],
        'area': float(rows['areas'][image, row]),
        'iscrowd': int(rows['crowd'][image, row]),
        'keypoints': points.ravel().tolist(),
        'num_keypoints': int((points[:, 2] > 0).sum()),
    }


def result(rows, image, row):
    """A finding as COCO's results hold it."""
    points = np.float64(rows['found_keypoints'][image, row])
    return {
        'image_id': int(image),
        'category_id': int(rows['found_labels'][image, row]),
        'keypoints': points.ravel().tolist(),
        'score': float(rows['found_scores'][image, row]),
    }


@pytest.mark.parametrize('seed', range(4))
def test_scores_equal_those_of_pycocotools(seed):
    rows = make_rows(seed)
    precision = coco_reference(rows, 3)
    scores = keypoint_scores(rows, 3, SIGMAS)
    for name, part in {'': slice(None), '50': 0, '75': 5}.items():
        expected = np.nanmean(precision[part])
        assert scores[f'keypoint_ap{name}'] == pytest.approx(expected, abs=1e-6)
    assert 0.1 < scores['keypoint_ap'] < scores['keypoint_ap50'] < 1


def test_scores_of_nothing_are_none():
    assert set(keypoint_scores({}, 3, SIGMAS).values()) == {None}
    rows = make_rows(0)
    rows['keypoints'] = np.zeros_like(rows['keypoints'])
    assert set(keypoint_scores(rows, 3, SIGMAS).values()) == {None}
