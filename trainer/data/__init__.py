"""From a description of data (`Images`) to its batches (`Dataset`)."""

from trainer.data import sources
from trainer.data.dataset import Dataset
from trainer.data.images import Images

__all__ = ['Dataset', 'Images', 'sources']
