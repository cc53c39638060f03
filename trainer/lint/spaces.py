"""What a search space may not be: a name that nothing has, an empty range, a misfit."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from trainer.lint.config import Config
from trainer.lint.finding import COMMAND_LINE, Finding
from trainer.lint.statements import Binding, parse
from trainer.lint.values import filled
from trainer.search.space import malformed, samples

SPACE = ('trainer.search.space.Search', 'space')
LATER = 1 << 30  # read after everything else, so that it is no second binding


def unfit(
    config: Config, errors: Callable[[Sequence[Binding]], set[str]]
) -> Iterator[Finding]:
    """What is wrong with each parameter of a space.

    Args:
      config: what holds.
      errors: the messages about the config with one more binding.
    """
    usual = None
    for binding in config:
        if binding.is_macro or Config.key(binding)[1:] != SPACE:
            continue
        space = filled(binding.value, config)
        for key, choices in space.items() if isinstance(space, dict) else ():
            usual = errors([]) if usual is None else usual
            place = config.source(binding).place
            for message in _about(key, choices, errors, usual):
                yield Finding(place, f'{binding}[{key!r}]: {message}')


def _about(key: object, choices: object, errors: Callable, usual: set[str]):
    message = malformed(choices)
    if message is None:
        for value in samples(choices):
            try:
                (tried,) = parse(f'{key} = {value!r}', COMMAND_LINE)
            except Exception:
                return [f'{key!r} is no name of a parameter, such as ResNet.depth']
            new = errors([dataclasses.replace(tried, reading=LATER)]) - usual
            if new:
                return sorted(new)
        return []
    return [message]
