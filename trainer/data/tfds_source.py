"""One split of a prepared TFDS data set: examples by index, with no TensorFlow.

Promises images and labels as TFDS stored them; knows no feature's kind, no transform.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from trainer.data.find_tfds import find_builder
from trainer.data.source import Examples, digest
from trainer.data.tfds_fields import find_fields
from trainer.errors import TrainingFailed, UserError


class TfdsSource(Examples):
    """Examples of one split: an image and the label fields; safe to pickle.

    Attributes:
      fingerprint: changes with version, split, count, classes and files, not with the
        folder or the machine.
    """

    def __init__(self, builder, split: str, fields: Sequence[str] | None = None):
        info = builder.info
        self.name = f'{info.full_name} [{split}]'
        self._shards = _split_info(builder, split).file_instructions

        def decode_all(key):
            feature = _part(info, key)
            records = _records(builder, 'all')
            return (feature.deserialize_example_np(record)[key] for record in records)

        self._image, self._fields = find_fields(self.name, info, fields, decode_all)
        for field in self._fields:
            setattr(self, field.attribute, field.names)
        self._features = _part(info, self._image, *(f.key for f in self._fields))
        self._labels = _part(info, *(field.key for field in self._fields))
        self._records = _records(builder, split)
        self.image_shape = info.features[self._image].shape
        _check_image_feature(self.name, info.features[self._image])
        self.fingerprint = self._fingerprint(info.full_name, split)

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index: int) -> dict:
        """Raises TrainingFailed, naming file and record, where it cannot be read."""
        try:
            record = self._records[index]
            example = self._features.deserialize_example_np(record)
        except Exception as error:  # whatever a broken record makes a decoder raise
            raise TrainingFailed(self._unreadable(index, error)) from error
        image = _with_channels(example[self._image], self.image_shape[-1])
        found = {'image': image}
        for field in self._fields:
            found |= field.read(example[field.key], image.shape)
        return found

    def column(self, field: str) -> np.ndarray:
        """All values of a label field; reads every record, and no image if it can."""
        own = next((f for f in self._fields if field in f.imageless), None)
        if own is None:
            return super().column(field)
        parse = self._labels.deserialize_example_np
        values = (parse(self._records[i])[own.key] for i in range(len(self)))
        return np.array([own.read(value, (1, 1))[field] for value in values])

    def _fingerprint(self, full_name, split):
        shards = [
            (_base(s.filename), epath.Path(s.filename).stat().length, s.skip, s.take)
            for s in self._shards
        ]
        names = [list(field.names) for field in self._fields]
        return digest(full_name, split, len(self), names, shards)

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


def open_tfds(
    name: str, split: str, data_dir: str | None, fields: Sequence[str] | None = None
) -> TfdsSource:
    """Opens a data set by name; see `Tfds` for the arguments and errors."""
    return TfdsSource(find_builder(name, data_dir), split, fields)


def _part(info, *keys):
    """The parser of some features alone."""
    return tfds.features.FeaturesDict({key: info.features[key] for key in keys})


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
