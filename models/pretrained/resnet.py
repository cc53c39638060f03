"""Names of ResNet's tensors in torchvision and timm, which agree, and transformers."""

from models.pretrained.layouts import BATCH_NORM, CONV, DENSE
from models.pretrained.mapping import Rule


def _rules():
    yield Rule('conv1', 'backbone/stem/conv', CONV)
    yield Rule('bn1', 'backbone/stem/norm', BATCH_NORM)
    for stage in range(4):
        theirs, ours = (
            f'layer{stage + 1}.{{block}}',
            f'backbone/stages/{stage}/{{block}}',
        )
        for index in (1, 2, 3):
            yield Rule(f'{theirs}.conv{index}', f'{ours}/conv{index}/conv', CONV)
            yield Rule(f'{theirs}.bn{index}', f'{ours}/conv{index}/norm', BATCH_NORM)
        yield Rule(f'{theirs}.downsample.0', f'{ours}/shortcut/conv', CONV)
        yield Rule(f'{theirs}.downsample.1', f'{ours}/shortcut/norm', BATCH_NORM)
    yield Rule('fc', 'head/dense', DENSE)


def _transformers():
    yield from _conv_norm('resnet.embedder.embedder', 'backbone/stem')
    for stage in range(4):
        theirs = f'resnet.encoder.stages.{stage}.layers.{{block}}'
        ours = f'backbone/stages/{stage}/{{block}}'
        for index in (0, 1, 2):
            yield from _conv_norm(f'{theirs}.layer.{index}', f'{ours}/conv{index + 1}')
        yield from _conv_norm(f'{theirs}.shortcut', f'{ours}/shortcut')
    yield Rule('classifier.1', 'head/dense', DENSE)


def _conv_norm(theirs, ours):
    yield Rule(f'{theirs}.convolution', f'{ours}/conv', CONV)
    yield Rule(f'{theirs}.normalization', f'{ours}/norm', BATCH_NORM)


NAMINGS = {
    'torchvision': tuple(_rules()),
    'timm': tuple(_rules()),
    'transformers': tuple(_transformers()),
}
