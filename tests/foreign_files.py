"""Data as somebody else's tools write it: a COCO .json, and folders of masks."""

import json

import cv2
import numpy as np

from trainer.data.images import Images
from trainer.data.sources.shapes import Shapes

CATEGORIES = [  # ids with gaps, in no order, one without keypoints
    {'id': 90, 'name': 'triangle', 'supercategory': 'shape'},
    {'id': 3, 'name': 'circle', 'keypoints': None},
    {
        'id': 17,
        'name': 'square',
        'keypoints': ['top_left', 'top_right', 'bottom_right', 'bottom_left'],
        'skeleton': [[1, 2], [2, 3], [3, 4], [4, 1]],
    },
]
ID_OF = (3, 17, 90)  # of the classes of Shapes
SIDES = 48, 64  # height and width, which are not those of a net


def drawn(kind, count, size=64):
    """Examples of Shapes, cut to another shape than square."""
    source = Shapes(kind=kind, size=size, train=count, test=1, num_classes=3)
    data = Images(source=source, split='train', batch=1).open()
    return [data[index] for index in range(count)]


def write_coco(folder, count=24):
    """pictures/NNNN.png and labels.json, as pycocotools takes them."""
    (folder / 'pictures').mkdir(parents=True)
    images, annotations = [], []
    for number, example in enumerate(drawn('everything', count), start=1):
        name, identity = f'{number:04}.png', 1000 + 7 * number
        image = example['image'][: SIDES[0]]
        cv2.imwrite(str(folder / 'pictures' / name), image[..., ::-1])
        size = {'height': SIDES[0], 'width': SIDES[1]}
        images.append({'id': identity, 'file_name': name, **size, 'license': 4})
        if number % 6:  # of every sixth nobody has labelled anything
            annotations += objects_of(example, identity, len(annotations))
    content = {
        'info': {'description': 'somebody else'},
        'images': images,
        'annotations': annotations,
        'categories': CATEGORIES,
    }
    (folder / 'labels.json').write_text(json.dumps(content))
    return folder / 'labels.json'


def objects_of(example, identity, before):
    """Annotations with what COCO demands, now and then without what it does not."""
    found = []
    rows = zip(
        example['boxes'], example['box_labels'], example['keypoints'], strict=True
    )
    for (y0, x0, y1, x1), label, points in rows:
        if label < 0 or y1 > SIDES[0] or y1 - y0 < 2:
            continue
        number = before + len(found) + 1
        box = [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
        one = {'id': number, 'image_id': identity, 'category_id': ID_OF[label]}
        one |= {'bbox': box, 'area': box[2] * box[3], 'iscrowd': 0}
        if number % 3:  # the others have none, as most of COCO's objects
            one['num_keypoints'] = 4
            one['keypoints'] = flat(points)
        if number % 5 == 0:
            del one['iscrowd'], one['area']
        found.append(one)
    counts = [0, 60, SIDES[0] * SIDES[1] - 60]
    crowd = {'id': before + len(found) + 1, 'image_id': identity, 'category_id': 3}
    crowd |= {'bbox': [0, 0, 2, SIDES[0]], 'area': 60, 'iscrowd': 1}
    return [*found, crowd | {'segmentation': {'counts': counts, 'size': SIDES}}]


def flat(points):
    """x, y, v of pixels: half less than ours, and whole numbers as people click."""
    places = np.clip(np.floor(points[:, :2]), 0, (SIDES[1] - 1, SIDES[0] - 1))
    return np.concatenate([places, np.full((4, 1), 2)], axis=1).reshape(-1).tolist()


def write_masks(folder, count=24):
    """images/NNNN.jpg and masks/NNNN_mask.png."""
    for name in ('images', 'masks'):
        (folder / name).mkdir(parents=True)
    for number, example in enumerate(drawn('segmentation', count)):
        image = example['image'][: SIDES[0], :, ::-1]
        cv2.imwrite(str(folder / 'images' / f'{number:04}.jpg'), image)
        mask = example['segmentation'][: SIDES[0]]
        cv2.imwrite(str(folder / 'masks' / f'{number:04}_mask.png'), mask)
    return folder
