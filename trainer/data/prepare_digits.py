"""Makes the embedded digits from scikit-learn's copy; knows nothing of training.

    from trainer.data.prepare_digits import prepare
    prepare(directory)

writes directory/digits/1.0.0, example for example the data set that ships in this
folder (the bytes may differ: protocol buffers promise no order of their fields).
Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998 (the 1,797 images of its test part, 8x8, 17 grey levels),
CC BY 4.0. Needs scikit-learn and OpenCV, not TensorFlow.
"""

import io

import cv2
import numpy as np
import tensorflow_datasets as tfds

from trainer.data.stratify import interleave

TEST_EXAMPLES = 360
SPLIT_SEED = 0


class Digits(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The UCI digits as TFDS sees them: image [8, 8, 1] uint8 and label 0-9."""

    name = 'digits'
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description='1,797 real handwritten digits of 8x8 pixels.',
            features=tfds.features.FeaturesDict(
                {
                    'image': tfds.features.Image(shape=(8, 8, 1)),
                    'label': tfds.features.ClassLabel(names=list('0123456789')),
                }
            ),
            supervised_keys=('image', 'label'),
            homepage='https://doi.org/10.24432/C50P49',
            license='CC BY 4.0',
            disable_shuffling=True,
            citation='E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998',
        )

    def _split_generators(self, dl_manager):
        images, labels = load()
        train, test = stratified_split(labels)
        return {
            'train': self._generate_examples(images, labels, train),
            'test': self._generate_examples(images, labels, test),
        }

    def _generate_examples(self, images, labels, rows):
        for key, row in enumerate(rows):
            yield key, {'image': png(images[row]), 'label': int(labels[row])}


def load():
    """Images [1797, 8, 8, 1] uint8 in 0..255, from grey levels 0..16, and labels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return images[..., None], digits.target


def stratified_split(labels):
    """Row numbers of train and test; every class has its share of both."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        np.arange(len(labels)),
        test_size=TEST_EXAMPLES,
        random_state=SPLIT_SEED,
        stratify=labels,
    )
    return interleave(train, labels), interleave(test, labels)


def png(image):
    """The image as a PNG file in memory: TFDS stores such bytes without TensorFlow."""
    _, encoded = cv2.imencode('.png', image)
    return io.BytesIO(encoded.tobytes())


def prepare(directory):
    """Writes the prepared data set under `directory` and returns its TFDS builder."""
    builder = Digits(data_dir=directory, file_format='array_record')
    builder.download_and_prepare()
    return builder
