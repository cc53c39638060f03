"""Decoded images kept in the host's memory; knows neither files nor batches."""

import numpy as np


class Held:
    """All examples of a reader, read once: images [N, H, W, C], labels [N] int32.

    Images of varying size, which a random crop will bring to one, are kept as a list.
    """

    def __init__(self, reader):
        examples = [reader[index] for index in range(len(reader))]
        images = [example['image'] for example in examples]
        uniform = len({image.shape for image in images}) == 1
        self.images = np.stack(images) if uniform else images
        self.labels = np.array([e['label'] for e in examples], np.int32)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index) -> dict:
        """An example, as the reader gave it."""
        return {'image': self.images[index], 'label': int(self.labels[index])}

    def batch(self, index: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """The examples at `index` [B] by one gather; images must be of one size."""
        return {
            'image': self.images.take(index, axis=0),
            'label': self.labels.take(index),
            'mask': mask,
            'index': index.astype(np.int32, copy=False),
        }
