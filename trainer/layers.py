"""How deep a parameter lies in its backbone, and learning rates that follow from it.

Knows the names that blocks have (`backbone/blocks/3/...`, `backbone/stages/1/0/...`),
which all backbones share, also as the encoder of another (`backbone/encoder/...`); no
model.
"""

import re
from collections.abc import Sequence

from trainer import descent
from trainer.errors import UserError

STEM = re.compile(r'backbone/(?:encoder/)?stem/')
BLOCK = re.compile(
    r'backbone/(?:encoder/)?(?:blocks|stages|layers)/(\d+)/(?:blocks/)?(?:(\d+)/)?'
)


def rates_of(
    experiment, names: Sequence[str], trained: Sequence[str]
) -> dict[str, float]:
    """What the learning rates of trained parameters are multiplied with, if not 1.

    Args:
      experiment: its `rates` and `layer_decay`; their product is taken.
      names: of all parameters.
      trained: of those that move.

    Raises:
      UserError: an expression of `rates` matches no trained parameter, or there is a
        `layer_decay` and no layer.
    """
    factors = descent.multipliers(experiment.rates, trained)
    if experiment.layer_decay is not None:
        decayed = layer_rates(names, experiment.layer_decay)
        factors = {name: decayed[name] * factors.get(name, 1.0) for name in trained}
    return {name: factor for name, factor in factors.items() if factor != 1}


def layer_rates(names: Sequence[str], decay: float) -> dict[str, float]:
    """Multipliers that fall by `decay` with each block away from the head.

    The head, and what lies behind the last block, such as a decoder, has 1; the last
    block has `decay`, the stem `decay ** (blocks + 1)`. Bao et al. 2022, BEiT,
    https://arxiv.org/abs/2106.08254; Clark et al. 2020, ELECTRA.

    Args:
      names: of parameters.
      decay: in (0, 1].

    Raises:
      UserError: no name is of a stem or a block, so all would have the same rate.
    """
    depths = layer_depths(names)
    top = max(depths.values())
    if min(depths.values()) == top:
        parts = dict.fromkeys('/'.join(name.split('/')[:2]) for name in names)
        raise UserError(
            f'Experiment.layer_decay = {decay} finds no layers: the parameters begin '
            f"with {', '.join(parts)}, and layers are called 'backbone/stem' and "
            f"'backbone/blocks/0', 'backbone/stages/0/0' or 'backbone/layers/0'; "
            f'name the parts so, or give Experiment.rates and no layer_decay.'
        )
    return {name: decay ** (top - depth) for name, depth in depths.items()}


def layer_depths(names: Sequence[str]) -> dict[str, int]:
    """0 for the stem, 1 for the first block, and so on; the head is the deepest.

    What changes the scale before the blocks of a stage counts to the first of them.
    """
    blocks = sorted({block for block in map(_block, names) if block is not None})
    depth = {block: number for number, block in enumerate(blocks, 1)}
    top = len(blocks) + 1

    def of(name):
        if STEM.match(name):
            return 0
        return depth.get(_block(name), top)

    return {name: of(name) for name in names}


def _block(name: str) -> tuple[int, int] | None:
    found = BLOCK.match(name)
    return found and (int(found[1]), int(found[2] or 0))
