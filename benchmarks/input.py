"""Images a second that are read: `python -m benchmarks.input`.

All sides read the same 2,000 JPEGs of 500 x 375 with as many workers and give batches
of 64 random-resized crops of 224 x 224, flipped by chance (Juniper flips on the device,
in its step). The limit is the bare decoder, in as many threads. Then whole batches of
small images out of memory.
"""

import argparse
import contextlib
import itertools
import pathlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from benchmarks.measure import alternate, markdown, setting, spread
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


def rate(make, batches: int, warm: int = 12) -> float:
    """Images a second, once the readers have begun."""
    made = make()
    for _ in range(warm):
        next(made)
    began = time.perf_counter()
    for _ in range(batches):
        next(made)
    seconds = time.perf_counter() - began
    with contextlib.suppress(AttributeError):
        made.close()
    return batches * BATCH / seconds


def sides_of(folder, paths, workers):
    """What is compared, as far as it is installed."""
    sides = {
        'Juniper, threads': lambda: juniper(folder, 0),
        'Juniper, processes': lambda: juniper(folder, workers),
        "Juniper, cache = 'disk'": lambda: juniper(folder, 0, 'disk'),
        'the bare decoder': lambda: decoder(paths, workers),
    }
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401

        sides['DataLoader + Pillow'] = lambda: data_loader(paths, by_pillow, workers)
        sides['DataLoader + OpenCV'] = lambda: data_loader(paths, by_opencv, workers)
    with contextlib.suppress(ImportError):
        import tensorflow  # noqa: F401

        sides['tf.data'] = lambda: tf_data(paths, workers)
    return sides


def files(rounds: int, workers: int, batches: int) -> None:
    """The table of readers."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder) / 'photos'
        folder.mkdir()
        paths = make_photos(folder)
        sides = {
            name: lambda make=make: rate(make, batches)
            for name, make in sides_of(folder, paths, workers).items()
        }
        found = alternate(sides, rounds)
    limit = np.median(found['the bare decoder'])
    rows = [
        [name, spread(rates, 0), f'{np.median(rates) / limit:.2f}']
        for name, rates in found.items()
    ]
    print(markdown(['reader', 'images/s', 'of the limit'], rows))


def memory(rounds: int) -> None:
    """Whole batches out of memory: 50,000 images of 32 x 32 x 3."""
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/images.npz'
        images = np.random.default_rng(0).integers(0, 256, (50_000, 32, 32, 3))
        labels = np.arange(50_000) % 10
        np.savez(path, images=images.astype(np.uint8), labels=labels)
        from trainer.data.sources.arrays import Arrays

        data = Images(source=Arrays(file=path), split='train', batch=BATCH).open()
        rates = [rate(lambda: data.train_batches(0), 5000) for _ in range(rounds)]
    print(markdown(['in memory', 'images/s'], [['32 x 32 x 3', spread(rates, 0)]]))


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('--rounds', type=int, default=3)
    flags.add_argument('--workers', type=int, default=2)
    flags.add_argument('--batches', type=int, default=60)
    flags = flags.parse_args()
    print(setting())
    files(flags.rounds, flags.workers, flags.batches)
    memory(flags.rounds)


if __name__ == '__main__':
    main()
