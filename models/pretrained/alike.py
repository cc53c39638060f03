"""Weights whose names and shapes fit a net that would compute something else of them.

Refused, as nothing else would tell: padding and epsilons stand in no weight file.
"""

import re

from flax import nnx

from models.pretrained.preprocessing import json_of
from models.pretrained.usual import REPOSITORIES, address
from models.pretrained.weight_files import WeightFile

# Nets of TensorFlow in timm: padded more below and right, epsilon 1e-3.
TENSORFLOW = re.compile(r'(?:^|/|--)(tf_efficientnet\w*)')
# Of BatchNorm in all of a naming's nets of a family, where another could be ours.
EPSILONS = {('efficientnet', 'timm'): 1e-5}


def check_padding(file: WeightFile) -> None:
    """Raises a ValueError for weights of timm's `tf_` nets, and says what to take."""
    net = architecture_of(file)
    if not net.startswith('tf_'):
        return
    name = net.removeprefix('tf_').partition('.')[0]
    usual = REPOSITORIES.get(name)
    instead = address(usual) if usual else f'the weights of {name} in torchvision'
    raise ValueError(
        f'{file.path} holds weights of {net}, which pads otherwise than our nets and '
        f'has another epsilon, so that answers would be wrong; take {instead}.'
    )


def check_epsilon(file: WeightFile, family: str, naming: str, backbone) -> None:
    """Raises a ValueError where weights of this naming were trained with another."""
    wanted = EPSILONS.get((family, naming))
    has = {m.epsilon for _, m in nnx.iter_modules(backbone) if hasattr(m, 'epsilon')}
    if wanted is not None and has != {wanted}:
        raise ValueError(
            f'{file.path} holds weights of {naming}, trained with epsilon = {wanted}, '
            f'but this net has {max(has)}; give {type(backbone).__name__} epsilon = '
            f'{wanted}, or take weights of torchvision.'
        )


def architecture_of(file: WeightFile) -> str:
    """What is said of the net of a file: beside it, in its header or by its name."""
    said = json_of(file.path.with_name('config.json')).get('architecture')
    said = said or file.metadata.get('architecture')
    found = TENSORFLOW.search(file.location or str(file.path))
    return str(said) if said else found[1] if found else ''
