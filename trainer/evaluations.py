"""Further evaluation sets of a run, each with a name and a schedule of its own."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated

import gin
from annotated_types import Gt

from trainer.data.images import Images
from trainer.errors import UserError

NAME = re.compile(r'[a-z][a-z0-9_]*')
# What other numbers and data sets of a run are called.
TAKEN = ('train', 'eval', 'val', 'test', 'best', 'checkpoint', 'perf')


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One further set that is scored while a run trains.

    Attributes:
      data: what is scored; of the classes of the training data.
      every: in epochs; None is as often as `Experiment.eval_every` says.
    """

    data: Images
    every: Annotated[float, Gt(0)] | None = None


def check_names(evaluations: Mapping[str, Evaluation]) -> None:
    """Raises UserError for a name under which no score can be logged."""
    for name in evaluations:
        if not NAME.fullmatch(name):
            raise UserError(
                f'Experiment.evaluations has the name {name!r}; its scores are logged '
                f"as '<name>/...', so give small letters, digits and _."
            )
        if name in TAKEN:
            raise UserError(
                f'Experiment.evaluations has the name {name!r}, which other numbers of '
                f'a run have; choose one that is none of {", ".join(TAKEN)}.'
            )
