"""Device augmentation: random changes to a batch inside the jitted step.

Each is a pure function of (key, batch): image float32 in [0, 1], [B, H, W, C], of the
same shape afterwards, each with chance of its own. Those that move pixels move the
labels that lie in the picture along, as docs/design.md has them. Bound in a config as
`augment = [@PadCrop(), @FlipLeftRight()]`, done in that order. Knows no steps or seeds.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainer.augment.colour import ColourJitter, Grayscale
from trainer.augment.erasing import RandomErasing
from trainer.augment.geometry import Affine, FlipLeftRight, FlipUpDown, PadCrop
from trainer.augment.mixing import CutMix, Mixup, MixupOrCutMix
from trainer.augment.policy import RandAugment

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset

__all__ = [
    'Affine',
    'ColourJitter',
    'CutMix',
    'FlipLeftRight',
    'FlipUpDown',
    'Grayscale',
    'Mixup',
    'MixupOrCutMix',
    'PadCrop',
    'RandAugment',
    'RandomErasing',
    'prepared',
]


def prepared(augment: Sequence[Callable], dataset: 'Dataset') -> tuple[Callable, ...]:
    """The same, each that has a `prepare(dataset)` as that gives it.

    Raises:
      UserError: one of them contradicts the data.
    """
    return tuple(
        function.prepare(dataset) if hasattr(function, 'prepare') else function
        for function in augment
    )
