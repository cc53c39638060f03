"""Nets: arrays in, arrays out; no training, no data, no gin files.

model = models.create_model('resnet18', num_classes=10, input_shape=(32, 32, 3))
logits = model(images)
"""

from models.catalog import create_model, list_models
from models.heads import Classifier
from models.mlp import MLP
from models.net import Net
from models.resnet import ResNet

__all__ = ['MLP', 'Classifier', 'Net', 'ResNet', 'create_model', 'list_models']
