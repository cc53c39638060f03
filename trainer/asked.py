"""The experiment that flags name, its pictures as large as training has them.

For commands that keep no run; knows flags, gin files and weights, and opens little.
"""

from trainer import places, pretrained
from trainer.expected import open_size
from trainer.experiment import Experiment, load
from trainer.questions import config_of, place_of


def trained(flags) -> Experiment:
    """For a command that takes steps: all is as training has it.

    Raises:
      UserError: as `config_of`, `load` and `pretrained.expecting`.
    """
    return _expecting(flags, _loaded(flags))


def sized(flags) -> Experiment:
    """For a command that only looks: weights are fetched if they decide on a size.

    Raises as `trained`.
    """
    experiment = _loaded(flags)
    decided = not any(map(open_size, experiment.roles.values()))
    return experiment if decided else _expecting(flags, experiment)


def _loaded(flags) -> Experiment:
    return load(*config_of(flags, place_of(flags)))


def _expecting(flags, experiment: Experiment) -> Experiment:
    place = place_of(flags)
    return pretrained.expecting(experiment, place and places.local(place))
