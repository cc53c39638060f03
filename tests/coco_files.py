"""COCO files with pictures, right and wrong, for the tests that read them."""

import json

from tests.picture_folders import picture, write
from trainer.data.images import Images
from trainer.data.sources.coco import Coco

HEIGHT, WIDTH = 40, 48
NAMES = ['left_eye', 'right_eye', 'nose']
TRIANGLE = [[4.0, 4.0, 30.0, 4.0, 4.0, 30.0]]


def thing(identity, image, box=(10, 5, 20, 30), category=3, **fields):
    """An annotation: box is x, y, width, height."""
    return {
        'id': identity,
        'image_id': image,
        'category_id': category,
        'bbox': list(box),
        'area': box[2] * box[3],
        'iscrowd': 0,
        **fields,
    }


def content(things, images=6, keypoints=None):
    categories = [{'id': 3, 'name': 'cat'}, {'id': 90, 'name': 'dog'}]
    if keypoints:
        categories[0]['keypoints'] = keypoints
    listed = [
        {'id': 100 + n, 'file_name': f'{n}.jpg', 'height': HEIGHT, 'width': WIDTH}
        for n in range(images)
    ]
    return {'images': listed, 'annotations': things, 'categories': categories}


def opener(folder):
    """Writes pictures; gives a function that writes a .json and opens it."""
    for number in range(6):
        image = picture(height=HEIGHT, width=WIDTH, seed=number)
        write(folder / f'{number}.jpg', image)

    def opened(text, split='all', on_error='skip', **fields):
        path = folder / 'all.json'
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        source = Coco(annotations=str(path), **fields)
        images = Images(source=source, split=split, batch=2, on_error=on_error)
        return images.open()

    return opened


def example(dataset, image):
    """The example of an image's id, as the source gives it."""
    return dataset.source[dataset.source.image_ids.index(image)]


def box(y0, x0, y1, x1):
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def runs(length):
    counts = [0, length, HEIGHT * WIDTH - length]
    return {'size': [HEIGHT, WIDTH], 'counts': counts}
