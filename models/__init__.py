"""Nets: arrays in, arrays out; no training, no data, no gin files.

model = models.create_model('resnet18', num_classes=10, input_shape=(32, 32, 3))
logits = model(images)
"""

from models.catalog import add_models, create_backbone, create_model, list_models
from models.convnext import ConvNeXt
from models.efficientnet import EfficientNet
from models.heads import (
    HEADS,
    Classifier,
    Detector,
    KeypointHead,
    KeypointRCNN,
    Regressor,
    Segmenter,
)
from models.mlp import MLP
from models.net import Net
from models.resnet import ResNet
from models.unet import UNet
from models.vit import ViT

__all__ = [
    'HEADS',
    'MLP',
    'Classifier',
    'ConvNeXt',
    'Detector',
    'EfficientNet',
    'KeypointHead',
    'KeypointRCNN',
    'Net',
    'Regressor',
    'ResNet',
    'Segmenter',
    'UNet',
    'ViT',
    'add_models',
    'create_backbone',
    'create_model',
    'list_models',
]
