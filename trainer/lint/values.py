"""What bound values may not be: of the wrong kind, out of range, unfinished."""

from collections.abc import Iterator

from trainer.lint import names
from trainer.lint.config import Config
from trainer.lint.finding import Finding
from trainer.lint.run_name import refused
from trainer.lint.spelling import PLACEHOLDER
from trainer.lint.statements import (
    Binding,
    Macro,
    Unreadable,
    replaced,
    shown,
    walk,
)
from trainer.lint.types import misfit
from trainer.lint.usage import filled_in

NAME = ('', names.ROOT, 'name')
INSTEAD = {
    'learning_rate': 'warmup_cosine.peak',
    'total_steps': 'Experiment.epochs',
    'dtype': 'Net.dtype',
}


def unfit(config: Config) -> Iterator[Finding]:
    """Values that the annotations of their parameters do not allow."""
    said = set()
    for binding in config:
        found = _about(binding, config)
        source = config.source(binding)
        if found and source not in said:
            said.add(source)
            reader = '' if source is binding else f' (read by {binding})'
            value = shown(source.value)
            yield Finding(source.place, f'{source} = {value}{reader} {found}')


def quotes_a_name(config: Config) -> bool:
    """Whether some value should be a reference, and is its name in quotes."""
    quoted = (b for b in config if isinstance(b.value, str) and names.matching(b.value))
    return any(_about(binding, config) for binding in quoted)


def _about(binding: Binding, config: Config) -> str | None:
    value = filled(binding.value, config)
    if any(isinstance(item, str) and PLACEHOLDER in item for item in walk(value)):
        return None if _reads_macro(binding) else f'still says {PLACEHOLDER}'
    if binding.is_macro:
        return None
    _, full, name = Config.key(binding)
    parameter = names.signature(full).parameters.get(name)
    if parameter is None:
        return None
    if filled_in(full, parameter):
        advice = f"; did you mean '{INSTEAD[name]}'?" if name in INSTEAD else ''
        return f'is filled in by the run, not by a config{advice}'
    if _unfinished(binding):
        return 'still waits for a value; give it one'
    found = misfit(value, parameter.annotation)
    if found is None and Config.key(binding) == NAME:
        return refused(value) if isinstance(value, str) else None
    return found


def _reads_macro(binding: Binding) -> bool:
    return any(isinstance(item, Macro) for item in walk(binding.value))


def _unfinished(binding: Binding) -> bool:
    marks = [i for i in walk(binding.value) if isinstance(i, Macro)]
    return any(macro.name in ('gin.REQUIRED', 'REQUIRED') for macro in marks)


def filled(value: object, config: Config, seen: tuple[str, ...] = ()) -> object:
    """A value with its macros replaced by what they stand for, as far as is known."""

    def fill(leaf: object) -> object:
        if not isinstance(leaf, Macro):
            return leaf
        binding = config.macro(leaf.name)
        if binding is None or leaf.name in seen:
            return Unreadable()
        return filled(binding.value, config, (*seen, leaf.name))

    try:
        return replaced(value, fill)
    except TypeError:  # a macro that is a list, as the key of a dict
        return Unreadable()
