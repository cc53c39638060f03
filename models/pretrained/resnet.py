"""Names of ResNet's tensors in torchvision and in timm, which agree."""

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


NAMINGS = {'torchvision': tuple(_rules()), 'timm': tuple(_rules())}
