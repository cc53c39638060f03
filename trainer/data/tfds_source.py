"""One split of a prepared TFDS data set: examples by index, with no TensorFlow.

Promises images and labels as TFDS stored them; knows nothing of transforms or batches.
"""

import hashlib
import json
import pathlib

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from trainer.data.find_tfds import find_builder
from trainer.errors import TrainingFailed, UserError


class TfdsSource:
    """source[i] -> {'image': uint8 [H, W, C], 'label': int}; safe to pickle.

    Attributes:
      name: of data set, version and split, for messages.
      class_names: in the order of the labels.
      image_shape: (H, W, C), None where examples may differ.
      fingerprint: hex digest; changes with version, split, count, classes and files,
        not with the folder or the machine.
    """

    def __init__(self, builder, split: str):
        self.name = f'{builder.info.full_name} [{split}]'
        self._shards = _split_info(builder, split).file_instructions
        image, label = _find_features(self.name, builder.info)
        features = builder.info.features
        self._keys = image, label
        self._features = tfds.features.FeaturesDict(
            {key: features[key] for key in (image, label)}
        )
        self._label_feature = tfds.features.FeaturesDict({label: features[label]})
        self._records = _records(builder, split)
        self.class_names = tuple(features[label].names)
        self.image_shape = features[image].shape
        _check_image_feature(self.name, features[image])
        self.fingerprint = self._fingerprint(builder.info.full_name, split)

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index: int) -> dict:
        """Raises TrainingFailed, naming file and record, where it cannot be read."""
        image_key, label_key = self._keys
        try:
            record = self._records[index]
            example = self._features.deserialize_example_np(record)
        except Exception as error:  # whatever a broken record makes a decoder raise
            raise TrainingFailed(self._unreadable(index, error)) from error
        image = _with_channels(example[image_key], self.image_shape[-1])
        return {'image': image, 'label': int(example[label_key])}

    def labels(self) -> np.ndarray:
        """All labels, [N] int64; reads every record, decodes no image."""
        key = self._keys[1]
        parse = self._label_feature.deserialize_example_np
        return np.array([parse(self._records[i])[key] for i in range(len(self))])

    def _fingerprint(self, full_name, split):
        shards = [
            (_base(s.filename), epath.Path(s.filename).stat().length, s.skip, s.take)
            for s in self._shards
        ]
        facts = [full_name, split, len(self), list(self.class_names), shards]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _unreadable(self, index, error):
        place, record = index, 'unknown file'
        for shard in self._shards:
            if place < shard.take:
                record = f'{shard.filename}, record {shard.skip + place}'
                break
            place -= shard.take
        reason = ' '.join(str(error).split())[:120]
        return (
            f'{self.name}: example {index} cannot be read ({record}): {reason}; '
            f'prepare the data set again or restore the file.'
        )


def open_tfds(name: str, split: str, data_dir: str | None) -> TfdsSource:
    """Opens a data set by name; see `Images` for the arguments and errors."""
    return TfdsSource(find_builder(name, data_dir), split)


def _split_info(builder, split):
    name, splits = builder.info.full_name, list(builder.info.splits)
    try:
        info = builder.info.splits[split]
    except (KeyError, ValueError) as error:
        raise UserError(
            f'{name} has no split {split!r}; its splits are {", ".join(splits)}, and '
            f"parts of them as in '{splits[0]}[:90%]' or '{splits[0]}[10:20]'."
        ) from error
    if not info.num_examples:
        sizes = [f'{s} has {builder.info.splits[s].num_examples}' for s in splits]
        raise UserError(
            f'{name}: the split {split!r} holds no example; {", ".join(sizes)}.'
        )
    return info


def _records(builder, split):
    """The split's serialized examples, by index."""
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        return builder.as_data_source(split, deserialize_method=raw)
    except NotImplementedError as error:
        raise UserError(
            f'{builder.info.full_name} was prepared as {builder.info.file_format.value}'
            f', which cannot be read by index; prepare it again with '
            f'--file_format=array_record.'
        ) from error


def _find_features(name, info):
    """Names of the image and label features: the only ones, else the supervised."""
    kinds = tfds.features.Image, tfds.features.ClassLabel
    found = [[k for k, f in info.features.items() if type(f) is kind] for kind in kinds]
    supervised = info.supervised_keys or ()
    for names in found:
        if len(names) != 1:
            names[:] = [key for key in names if key in supervised]
    if [len(names) for names in found] != [1, 1]:
        listed = [f'{k} ({type(f).__name__})' for k, f in info.features.items()]
        raise UserError(
            f'{name} is not a classification set: one Image and one ClassLabel are '
            f'expected, its features are {", ".join(listed)}.'
        )
    return found[0][0], found[1][0]


def _check_image_feature(name, feature):
    if feature.shape[-1] not in (1, 3) or feature.np_dtype != np.uint8:
        raise UserError(
            f'{name} has images of {feature.shape[-1]} channels and type '
            f'{np.dtype(feature.np_dtype)}; 1 or 3 channels of uint8 are expected.'
        )


def _with_channels(image, channels):
    """A grey picture in a set of coloured ones (ImageNet has some) gets three equal."""
    if image.shape[-1] == 1 and channels == 3:
        return np.repeat(image, 3, axis=-1)
    return image


def _base(filename):
    return pathlib.PurePath(filename).name
