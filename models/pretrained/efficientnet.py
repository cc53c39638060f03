"""Names of EfficientNet's tensors in torchvision and in timm.

timm's `tf_` nets have the same names and compute otherwise: `alike` refuses them.
"""

import numpy as np

from models.pretrained.layouts import BATCH_NORM, CONV, DENSE, Layout
from models.pretrained.mapping import Rule

# Dense layers of squeeze-excitation are 1x1 convolutions there.
_POINTWISE = Layout(
    lambda array: np.squeeze(array, (2, 3)).T,
    lambda array: array.T[:, :, None, None],
)
DENSE_CONV = {'weight': ('kernel', _POINTWISE), 'bias': DENSE['bias']}


def _torchvision():
    """One list there: the stem, the stages, the top; blocks are lists as well."""
    yield from _conv_norm('features.0.0', 'features.0.1', 'backbone/stem')
    for stage in range(7):
        theirs = f'features.{stage + 1}.{{block}}.block'
        ours = f'backbone/stages/{stage}/{{block}}'
        # The first stage widens nothing: its blocks have one layer less.
        first = 1 if stage else 0
        convs = {0: 'expand'} if stage else {}
        for index, name in {**convs, first: 'depthwise', first + 2: 'project'}.items():
            there = f'{theirs}.{index}'
            yield from _conv_norm(f'{there}.0', f'{there}.1', f'{ours}/{name}')
        there = f'{theirs}.{first + 1}'
        yield Rule(f'{there}.fc1', f'{ours}/excite/reduce', DENSE_CONV)
        yield Rule(f'{there}.fc2', f'{ours}/excite/expand', DENSE_CONV)
    yield from _conv_norm('features.8.0', 'features.8.1', 'backbone/top')
    yield Rule('classifier.1', 'head/dense', DENSE)


def _timm():
    """Convolutions have names there; normalisations have numbers."""
    yield from _conv_norm('conv_stem', 'bn1', 'backbone/stem')
    for stage in range(7):
        theirs = f'blocks.{stage}.{{block}}'
        ours = f'backbone/stages/{stage}/{{block}}'
        names = {'conv_dw': 'depthwise', 'conv_pw': 'project'}
        if stage:
            names = {'conv_pw': 'expand', 'conv_dw': 'depthwise', 'conv_pwl': 'project'}
        for number, (conv, name) in enumerate(names.items(), 1):
            there = f'{theirs}.{conv}', f'{theirs}.bn{number}'
            yield from _conv_norm(*there, f'{ours}/{name}')
        yield Rule(f'{theirs}.se.conv_reduce', f'{ours}/excite/reduce', DENSE_CONV)
        yield Rule(f'{theirs}.se.conv_expand', f'{ours}/excite/expand', DENSE_CONV)
    yield from _conv_norm('conv_head', 'bn2', 'backbone/top')
    yield Rule('classifier', 'head/dense', DENSE)


def _conv_norm(conv: str, norm: str, ours: str):
    yield Rule(conv, f'{ours}/conv', CONV)
    yield Rule(norm, f'{ours}/norm', BATCH_NORM)


NAMINGS = {'torchvision': tuple(_torchvision()), 'timm': tuple(_timm())}
