"""Heads: from a backbone's maps to outputs; they know neither backbone nor task.

A head is called as `Head(channels, num_outputs, strides=, dtype=, rngs=)`, with the
channels and strides of all maps of a backbone, fine to coarse (a stride of None says
that there are no positions), and takes the list of these maps, and by name what a task
asks for beside. What gives maps says their `stride`, pixels of the image to a cell.
`HEADS` has them by name, for people in a notebook.
"""

from models.heads.detector import Detector
from models.heads.keypoint_rcnn import KeypointRCNN
from models.heads.keypoints import KeypointHead
from models.heads.pooled import Classifier, Regressor
from models.heads.segmenter import Segmenter

HEADS = {
    'classifier': Classifier,
    'regressor': Regressor,
    'segmenter': Segmenter,
    'keypoints': KeypointHead,
    'keypoint_rcnn': KeypointRCNN,
    'detector': Detector,
}

__all__ = [
    'HEADS',
    'Classifier',
    'Detector',
    'KeypointHead',
    'KeypointRCNN',
    'Regressor',
    'Segmenter',
]
