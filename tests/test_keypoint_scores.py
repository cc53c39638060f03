"""Scores of keypoints against numpy loops and COCO's own tool."""

import contextlib
import io

import numpy as np
import pytest

from trainer.metrics_keypoints import keypoint_precision, pck, similarity

SIGMAS = (0.03, 0.05, 0.1)


def make_rows(seed, images=30, objects=1):
    """What is there and what is found: near, far, crowds, unlabelled, empty images."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(3, 97, (images, objects, 3, 2))
    visibility = rng.integers(0, 3, (images, objects, 3, 1))
    keypoints = np.concatenate([places, visibility], axis=-1).astype(np.float32)
    keypoints[rng.uniform(size=(images, objects)) < 0.15, :, 2] = 0
    keypoints = np.where(keypoints[..., 2:] > 0, keypoints, 0)
    low = rng.uniform(0, 50, (images, objects, 2))
    sides = rng.uniform(20, 50, (images, objects, 2))
    boxes = np.concatenate([low, low + sides], axis=-1).astype(np.float32)
    there = rng.uniform(size=(images, objects)) < 0.9
    noise = rng.normal(size=keypoints[..., :2].shape) * rng.uniform(
        0, 3, (images, 1, 1, 1)
    )
    found = np.concatenate(
        [keypoints[..., :2] + noise, rng.uniform(size=(*keypoints.shape[:-1], 1))],
        axis=-1,
    )
    return {
        'found': found.astype(np.float32),
        'keypoints': np.where(there[..., None, None], keypoints, 0),
        'boxes': np.where(there[..., None], boxes, 0),
        'box_labels': np.where(there, 0, -1).astype(np.int32),
        'areas': np.where(there, 0.6 * sides.prod(axis=-1), 0).astype(np.float32),
        'crowd': there & (rng.uniform(size=there.shape) < 0.1),
    }


@pytest.mark.parametrize('objects', [1, 3])
@pytest.mark.parametrize('threshold', [0.05, 0.1])
def test_pck_equals_a_loop(objects, threshold):
    rows = make_rows(5, objects=objects)
    right, count = np.zeros(3), np.zeros(3)
    for image, row, k in np.ndindex(*rows['keypoints'].shape[:3]):
        x, y, visibility = rows['keypoints'][image, row, k]
        if rows['crowd'][image, row] or visibility == 0:
            continue
        y0, x0, y1, x1 = rows['boxes'][image, row]
        guess = rows['found'][image, row, k]
        apart = np.hypot(guess[0] - x, guess[1] - y)
        right[k] += apart <= threshold * max(y1 - y0, x1 - x0)
        count[k] += 1
    scores = pck(rows, threshold, 3)
    assert scores[f'pck@{threshold}'] == pytest.approx(right.sum() / count.sum())
    for k in range(3):
        assert scores[f'pck@{threshold}_keypoint_{k}'] == right[k] / count[k]
    assert 0.1 < scores[f'pck@{threshold}'] <= 1


def test_similarity_equals_a_loop():
    rows = {name: value[0] for name, value in make_rows(6, 1, 5).items()}
    rows['keypoints'][2, :, 2] = [0, 2, 1]
    rows['keypoints'][3, :, 2] = 2
    objects = rows['keypoints'], rows['boxes'], rows['areas']
    alike = similarity(rows['found'], *objects, SIGMAS)
    for d, g in np.ndindex(5, 5):
        terms = []
        for k, (x, y, visibility) in enumerate(np.float64(rows['keypoints'][g])):
            if visibility > 0:
                apart = np.hypot(*(np.float64(rows['found'][d, k, :2]) - (x, y)))
                area = np.float64(rows['areas'][g]) + np.spacing(1)
                terms.append(np.exp(-(apart**2) / (2 * area * (2 * SIGMAS[k]) ** 2)))
        if terms:
            assert alike[d, g] == pytest.approx(np.mean(terms), abs=1e-12)


@pytest.mark.parametrize('objects', [1, 4])
@pytest.mark.parametrize('seed', range(3))
def test_average_precision_equals_cocos_own_tool(seed, objects):
    pytest.importorskip('pycocotools')
    rows = make_rows(seed, objects=objects)
    expected = coco_precision(rows)
    scores = keypoint_precision(rows, SIGMAS)
    for name, value in zip(('ap', 'ap50', 'ap75'), expected, strict=True):
        assert scores[name] == pytest.approx(value, abs=1e-6)
    assert 0.1 < scores['ap'] < scores['ap50'] < 1


def coco_precision(rows):
    """AP, AP50 and AP75 of pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images, objects = rows['boxes'].shape[:2]
    annotations, results = [], []
    for image, row in np.ndindex(images, objects):
        there = rows['box_labels'][image, row] >= 0
        if there:
            annotations.append(
                annotation(rows, image, row) | {'id': image * 9 + row + 1}
            )
        if there or objects == 1:
            results.append(result(rows, image, row))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            'images': [{'id': image + 1} for image in range(images)],
            'annotations': annotations,
            'categories': [{'id': 1, 'name': 'face'}],
        }
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), 'keypoints')
        judge.params.kpt_oks_sigmas = np.array(SIGMAS)
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval['precision'][:, :, 0, 0, 0]
    return precision.mean(), precision[0].mean(), precision[5].mean()


def annotation(rows, image, row):
    """An object as COCO's files hold it."""
    keypoints = np.float64(rows['keypoints'][image, row])
    y0, x0, y1, x1 = map(float, rows['boxes'][image, row])
    return {
        'image_id': image + 1,
        'category_id': 1,
        'bbox': [x0, y0, x1 - x0, y1 - y0],
        'area': float(rows['areas'][image, row]),
        'iscrowd': int(rows['crowd'][image, row]),
        'keypoints': keypoints.ravel().tolist(),
        'num_keypoints': int((keypoints[:, 2] > 0).sum()),
    }


def result(rows, image, row):
    """A finding as COCO's results hold it."""
    found = np.float64(rows['found'][image, row])
    return {
        'image_id': image + 1,
        'category_id': 1,
        'keypoints': found.ravel().tolist(),
        'score': found[:, 2].mean(),
    }
