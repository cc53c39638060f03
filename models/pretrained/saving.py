"""Our weights as PyTorch wants them: every tensor of a state_dict, in its names."""

from collections.abc import Mapping, Sequence

import numpy as np
from flax import nnx

from models.pretrained.loading import families, family_of, weights_of
from models.pretrained.mapping import Arrays, Rule, export_weights, import_weights

COUNTER = 'num_batches_tracked'


def foreign_weights(
    model: nnx.Module, arrays: Arrays, naming: str
) -> dict[str, np.ndarray]:
    """What `load_state_dict(strict=True)` takes, and where it needs them its counters.

    Args:
      model: a `Net`; only its kind is looked at.
      arrays: all its parameters and statistics by path.
      naming: such as 'torchvision' or 'timm'.

    Returns:
      Float32 arrays by foreign name, and an int64 zero for each batch norm's counter.

    Raises:
      ValueError: a family or naming without a table; or lists every array that has
        no name there, such as those of a head that is no classifier.
    """
    foreign = export_weights(_rules(model, naming), arrays)
    return {**foreign, **_counters(foreign)}


def lost_weights(
    model: nnx.Module, arrays: Arrays, foreign: Arrays, naming: str
) -> list[str]:
    """Paths of the arrays that do not come back, bit for bit, from their foreign names.

    Args:
      model, arrays, naming: as `foreign_weights` took them.
      foreign: what it gave, or what was read of it.
    """
    back = import_weights(_rules(model, naming), foreign, weights_of(model)).arrays
    return [
        name
        for name, array in arrays.items()
        if name not in back or not np.array_equal(back[name], array, equal_nan=True)
    ]


def _rules(model: nnx.Module, naming: str) -> Sequence[Rule]:
    namings = families().get(family_of(type(model.backbone)), {})
    if naming not in namings:
        name = type(model.backbone).__name__
        if not namings:
            raise ValueError(f'{name} has no table of names that others know.')
        raise ValueError(
            f'{name} has no naming {naming!r}; choose {" or ".join(namings)}.'
        )
    return namings[naming]


def _counters(foreign: Mapping) -> dict[str, np.ndarray]:
    """How many batches each norm has seen, which PyTorch asks for and never needs."""
    end = '.running_mean'
    norms = [name.removesuffix(end) for name in foreign if name.endswith(end)]
    return {f'{norm}.{COUNTER}': np.zeros((), np.int64) for norm in norms}
