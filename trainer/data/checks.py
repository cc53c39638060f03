"""Whether an example is what docs/design.md says; one line, naming it, if it is not."""

import numpy as np

from trainer.data.source import IGNORE
from trainer.errors import UserError


def check_example(name: str, example: dict, facts) -> None:
    """Raises UserError for label fields that contradict the data set's facts.

    Args:
      name: of the data set and the example, for messages.
      example: after its transforms.
      facts: has `class_names`, `segmentation_names` and `keypoint_names`.
    """
    classes = len(facts.class_names)
    if 'label' in example:
        _check_label(name, example['label'], classes)
    if 'labels' in example:
        _check_several(name, np.asarray(example['labels']), classes)
    if 'target' in example and not np.isfinite(example['target']).all():
        _refuse(name, f'the target {example["target"]}', 'finite numbers')
    if 'box_labels' in example:
        _check_range(name, 'box_labels', example['box_labels'], -1, classes - 1)
        _check_boxes(name, np.asarray(example['boxes']), example['box_labels'])
    if 'segmentation' in example:
        _check_segmentation(name, example, len(facts.segmentation_names))
    if 'keypoints' in example:
        wanted = (len(example['boxes']), len(facts.keypoint_names), 3)
        if example['keypoints'].shape != wanted:
            _refuse(name, f'keypoints of shape {example["keypoints"].shape}', wanted)
        if not np.isfinite(example['keypoints']).all():
            _refuse(name, 'a keypoint that is not finite', 'finite numbers')


def check_labels(name: str, labels, num_classes: int) -> None:
    """Raises UserError, naming the example, for a label that is no class.

    JAX would not: -1 would silently count as the last class, and C give NaN.

    Args:
      name: of the data set, for the message.
      labels: of all examples, [N].
      num_classes: C; labels must be integers in 0..C-1.
    """
    labels = np.asarray(labels)
    bad = (labels < 0) | (labels >= num_classes) | (labels != np.floor(labels))
    if bad.any():
        index = int(np.argmax(bad))
        _check_label(f'{name}: example {index}', labels[index], num_classes)


def check_batch(name: str, batch: int, num_examples: int) -> None:
    """Raises UserError where one training batch takes more examples than there are."""
    if batch > num_examples:
        raise UserError(
            f'Images.batch is {batch}, but {name} has only {num_examples} examples; '
            f'choose a smaller batch or a larger split.'
        )


def check_normalisation(name: str, images, channels: int) -> None:
    """Raises UserError where `mean` or `std` has neither one value nor one a channel.

    A longer one would silently broadcast a grey image to more channels. So does it
    where nothing can be divided by `std`.
    """
    if images.std is not None and not np.all(np.asarray(images.std) > 0):
        raise UserError(f'Images.std is {images.std}; every value must be above 0.')
    for field in ('mean', 'std'):
        count = np.size(getattr(images, field))
        if count not in (1, channels):
            raise UserError(
                f'Images.{field} has {count} values, but the images of {name} have '
                f'{channels} channel(s); give one value, or one a channel.'
            )


def check_segmentation_names(name: str, names) -> None:
    """Raises UserError where a segmentation's classes do not fit into its bytes."""
    if len(names) > IGNORE:
        raise UserError(
            f'{name} has {len(names)} classes of pixels; a segmentation holds at most '
            f'{IGNORE}, background included.'
        )


def _check_label(name, label, num_classes):
    if not 0 <= label < num_classes or label != int(label):
        raise UserError(
            f'{name} has the label {label}; labels must be integers from 0 to '
            f'{num_classes - 1}. Mend the data set.'
        )


def _check_several(name, labels, num_classes):
    if labels.shape != (num_classes,):
        _refuse(name, f'labels of shape {labels.shape}', (num_classes,))
    if not np.isin(labels, (0, 1)).all():
        _refuse(name, f'the labels {labels.tolist()}', 'only 0 and 1')


def _check_segmentation(name, example, num_classes):
    found, image = example['segmentation'], example['image']
    if found.shape != image.shape[:2]:
        _refuse(name, f'a segmentation of shape {found.shape}', image.shape[:2])
    scored = found[found != IGNORE]
    _check_range(name, 'segmentation', scored, 0, num_classes - 1)


def _check_boxes(name, boxes, labels):
    objects = boxes[labels >= 0]
    bad = ~((objects[:, 2:] > objects[:, :2]).all(1) & np.isfinite(objects).all(1))
    if bad.any():
        found = f'the box {objects[bad][0].tolist()}'
        _refuse(name, found, 'y0, x0, y1, x1 with an area')


def _check_range(name, field, values, low, high):
    if values.size and not low <= values.min() <= values.max() <= high:
        found = f'{field} from {values.min()} to {values.max()}'
        _refuse(name, found, f'integers from {low} to {high}')


def _refuse(name, found, expected):
    raise UserError(f'{name} has {found}; expected {expected}. Mend the data set.')
