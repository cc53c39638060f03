"""Labels that contradict the data's facts are refused in a line that names them."""

import types

import numpy as np
import pytest

from trainer.data.checks import check_example
from trainer.errors import UserError

FACTS = types.SimpleNamespace(
    class_names=('cat', 'dog'),
    segmentation_names=('ground', 'cat'),
    keypoint_names=('nose',),
)
NAN = float('nan')


def example(**changes):
    """An image with all that lies in it; the second row of objects is padding."""
    return {
        'image': np.zeros((8, 9, 3), np.uint8),
        'segmentation': np.uint8([[0, 1, 255] * 3] * 8),
        'boxes': np.float32([[1, 2, 3, 4], [0, 0, 0, 0]]),
        'box_labels': np.int32([1, -1]),
        'keypoints': np.float32([[[2, 3, 2]], [[0, 0, 0]]]),
        **changes,
    }


def test_what_is_right_passes():
    check_example('Mine: example 7', example(), FACTS)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'boxes': np.float32([[1, 2, 1, 4]] * 2)}, 'the box .*expected y0, x0, y1'),
        ({'boxes': np.float32([[1, NAN, 3, 4]] * 2)}, 'the box .*nan.* with an area'),
        ({'box_labels': np.int32([2, -1])}, 'box_labels from -1 to 2'),
        ({'keypoints': np.float32([[[NAN, 3, 2]]] * 2)}, 'a keypoint that is not'),
        ({'keypoints': np.zeros((2, 2, 3))}, r'keypoints of shape \(2, 2, 3\)'),
        ({'segmentation': np.full((8, 9), 2, np.uint8)}, 'segmentation from 2 to 2'),
        ({'segmentation': np.zeros((9, 8), np.uint8)}, r'of shape \(9, 8\)'),
        ({'label': np.int32(-1)}, 'the label -1'),
        ({'target': np.float32([1, NAN])}, 'the target .*expected finite numbers'),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(UserError, match=rf'^Mine: example 7 has .*{message}') as raised:
        check_example('Mine: example 7', example(**changes), FACTS)
    assert '\n' not in str(raised.value)
