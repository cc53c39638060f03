"""What a search is told: which values may vary, how they are chosen, when one gives up.

Plain data for a config; knows nothing of Optuna, nor of how a trial is run.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import gin
from annotated_types import Ge

from trainer.description import describe
from trainer.errors import UserError

RANGES = ('log', 'uniform', 'int')
PLAIN = (bool, int, float, str, type(None))


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """What `python main.py search` tries; training itself does not look at it.

    Attributes:
      space: by the name of a parameter or macro, `('log', low, high)`, `('uniform',
        low, high)` or `('int', low, high)`, both ends included, or a list of choices.
      trials: how many there are in the end, failed and pruned ones included.
      sampler: 'tpe', 'random', or the name of any sampler of Optuna.
      pruner: 'median', 'hyperband', 'predicted' (the foretold last value is worse
        than the best), 'none', or the name of any pruner of Optuna.
      pruner_options: arguments of the pruner.
      seeds: with which each trial trains; its value is their mean. Only the first
        is pruned.
      seed: of the sampler.
      storage: the study's file, which several processes may share.
    """

    space: Mapping[str, Sequence]
    trials: Annotated[int, Ge(1)] = 20
    sampler: str = 'tpe'
    pruner: str = 'median'
    pruner_options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    seeds: Sequence[Annotated[int, Ge(0)]] = (0,)
    seed: Annotated[int, Ge(0)] = 0
    storage: Literal['journal', 'sqlite'] = 'journal'


def is_range(choices: Sequence) -> bool:
    """Whether this is `('log', low, high)` or its like, and no list of choices."""
    return isinstance(choices, tuple) and bool(choices) and choices[0] in RANGES


def malformed(choices: object) -> str | None:
    """What is wrong with the choices for one parameter, or None."""
    if isinstance(choices, list) and choices:
        odd = [c for c in choices if not isinstance(c, PLAIN)]
        return f'{odd[0]!r} is no number, string, boolean or None' if odd else None
    if not isinstance(choices, tuple) or not is_range(choices) or len(choices) != 3:
        return (
            f"{choices!r} is no ('log', low, high), ('uniform', low, high), "
            f"('int', low, high) or list of choices"
        )
    kind, low, high = choices
    numbers = int if kind == 'int' else (int, float)
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, numbers):
            wanted = 'integer' if kind == 'int' else 'number'
            return f'{end!r} in {choices!r} is no {wanted}'
    if not low < high:
        return f'the range {choices!r} is empty; give a low end below the high one'
    if kind == 'log' and low <= 0:
        return f'a log range begins above 0, not at {low!r}'
    return None


def samples(choices: Sequence) -> list:
    """Values of which all must fit where each value of the choices is to fit."""
    if not is_range(choices):
        return list(choices)
    kind, low, high = choices
    return [low, high] if kind == 'int' else [float(low), float(high)]


def position(choices: Sequence, value: object) -> float:
    """Where a value lies between the ends, 0 to 1: of a log range in its logarithm."""
    if not is_range(choices):
        return list(choices).index(value) / max(1, len(choices) - 1)
    kind, low, high = choices
    if kind == 'log':
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def at(choices: Sequence, place: float) -> float:
    """The value at a position of a range, which may lie beyond its ends."""
    kind, low, high = choices
    if kind == 'log':
        return low * (high / low) ** place
    value = low + place * (high - low)
    if kind == 'uniform':
        return value
    return math.floor(value) if place < 0 else math.ceil(value)


def check_searchable(experiment) -> None:
    """Raises UserError where there is no space, or no config that has it."""
    if experiment.search is None or experiment.source is None:
        raise UserError(
            'There is nothing to search: set Experiment.search = @Search() and '
            'Search.space in a config, as configs/search/resnet18.gin does.'
        )
    if experiment.source.config != describe(experiment):
        raise UserError(
            'A search tries values of a config, and this experiment was changed since '
            'it was loaded; give the changes to load as bindings.'
        )
