"""What `benchmarks.input` compares: readers of the same JPEGs, each giving batches.

Knows nothing of time. Every side takes (folder, paths, workers) and is endless.
"""

import itertools
import pathlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from trainer.data.images import Images
from trainer.data.sources.image_folder import ImageFolder
from trainer.transforms import RandomResizedCrop

FILES, HEIGHT, WIDTH, QUALITY = 2000, 375, 500, 90
SIZE, BATCH = 224, 64


def make_photos(folder: pathlib.Path) -> list[str]:
    """Crops of the photographs that scikit-learn ships, in two classes."""
    from sklearn.datasets import load_sample_images

    photos, rng = load_sample_images().images, np.random.default_rng(0)
    paths = []
    for number in range(FILES):
        photo = photos[number % len(photos)]
        top, left = (
            rng.integers(room + 1)
            for room in np.subtract(photo.shape[:2], (HEIGHT, WIDTH))
        )
        part = photo[top : top + HEIGHT, left : left + WIDTH, ::-1]
        path = folder / str(number % len(photos)) / f'{number}.jpg'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), part, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        paths.append(str(path))
    return paths


def juniper(folder, workers: int, cache=None):
    """Our batches, of both kinds of reader."""
    images = Images(
        source=ImageFolder(folder=str(folder), test_fraction=0.001),
        split='train',
        batch=BATCH,
        transforms=[RandomResizedCrop(size=SIZE)],
        workers=workers,
        cache=cache,
        cache_dir=f'{folder}.packed',
    )
    return images.open().train_batches(0)


class Photos:
    """What DataLoader asks for: a crop of photo i, read as `read` does."""

    def __init__(self, paths, read):
        self.paths, self.read = paths, read

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.read(self.paths[index])


def by_pillow(path):
    """Decoded, cropped, resized and flipped by Pillow."""
    from PIL import Image, ImageOps

    with Image.open(path) as photo:
        top, left, height, width = draw(photo.height, photo.width)
        box = (left, top, left + width, top + height)
        photo = photo.convert('RGB').resize((SIZE, SIZE), Image.BILINEAR, box)
    return np.array(ImageOps.mirror(photo) if np.random.rand() < 0.5 else photo)


def by_opencv(path):
    """The same by OpenCV."""
    photo = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    top, left, height, width = draw(*photo.shape[:2])
    part = photo[top : top + height, left : left + width]
    part = cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return cv2.flip(part, 1) if np.random.rand() < 0.5 else part


def draw(height, width):
    """The same boxes for all."""
    return RandomResizedCrop(size=SIZE).draw(np.random.default_rng(), height, width)


def data_loader(paths, read, workers):
    """Batches of torch's DataLoader, endless."""
    import torch.utils.data

    loader = torch.utils.data.DataLoader(
        Photos(paths, read),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
    )
    while True:
        yield from loader


def tf_data(paths, workers):
    """Batches of tf.data, decoding the crop alone."""
    import tensorflow as tf

    def read(path):
        data = tf.io.read_file(path)
        window, size, _ = tf.image.sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(data),
            tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(0.08, 1.0),
        )
        box = tf.concat([window[:2], size[:2]], 0)
        photo = tf.image.decode_and_crop_jpeg(data, box, channels=3)
        photo = tf.image.resize(photo, (SIZE, SIZE))
        return tf.cast(tf.image.random_flip_left_right(photo), tf.uint8)

    data = tf.data.Dataset.from_tensor_slices(paths).shuffle(FILES).repeat()
    data = data.map(read, workers).batch(BATCH, drop_remainder=True).prefetch(4)
    return data.as_numpy_iterator()


def decoder(paths, workers):
    """The limit: files are read and decoded, and no more."""
    with ThreadPoolExecutor(workers) as threads:
        for start in itertools.count(0, BATCH):
            part = [paths[n % len(paths)] for n in range(start, start + BATCH)]
            yield list(threads.map(cv2.imread, part))


SIDES = {
    'Juniper, threads': lambda folder, paths, workers: juniper(folder, 0),
    'Juniper, processes': lambda folder, paths, workers: juniper(folder, workers),
    "Juniper, cache = 'disk'": lambda folder, paths, workers: juniper(
        folder, 0, 'disk'
    ),
    'the bare decoder': lambda folder, paths, workers: decoder(paths, workers),
    'DataLoader + Pillow': lambda folder, paths, workers: data_loader(
        paths, by_pillow, workers
    ),
    'DataLoader + OpenCV': lambda folder, paths, workers: data_loader(
        paths, by_opencv, workers
    ),
    'tf.data': lambda folder, paths, workers: tf_data(paths, workers),
}
NEEDS = {'DataLoader + Pillow': 'torch', 'DataLoader + OpenCV': 'torch'}
NEEDS['tf.data'] = 'tensorflow'
