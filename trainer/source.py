"""Where an experiment came from: gin texts that replay it, and the place of each value.

The texts are written by gin itself; gin holds a config only while it writes one.
"""

import ast
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import gin

from trainer.lint import names
from trainer.lint.report import Examination
from trainer.lint.statements import Binding, Reference, replaced
from trainer.lint.usage import Call, filled_in, usage


@dataclasses.dataclass(frozen=True)
class Source:
    """What `load` has read.

    Attributes:
      config_gin: what was asked, macros and imports too; loading it gives an equal
        experiment.
      operative_gin: everything that is used, defaults included.
      origins: 'file:line' or 'command line' of each value that was asked for, by its
        key in `describe`; a value that is a macro has the macro's.
      config: what `describe` said of the experiment that was read.
    """

    config_gin: str
    operative_gin: str
    origins: dict[str, str]
    config: dict[str, object]


def read_from(
    examination: Examination, origins: dict[str, str], described: dict[str, object]
) -> Source:
    """The source of an experiment whose config has been checked."""
    config, imports = examination.config, examination.imports
    used = [binding for binding in config if binding in examination.used]
    asked = [_line(_key(binding), binding.value) for binding in used]
    macros = [_line(b.name, b.value) for b in used if b.is_macro]
    operative = [line for call in usage(config).calls for line in _lines(call)]
    return Source(
        config_gin=_written_by_gin(imports, asked),
        operative_gin=_written_by_gin(imports, [*macros, *operative]),
        origins=origins,
        config=described,
    )


def _written_by_gin(imports: Sequence[str], lines: Iterable[str]) -> str:
    """The lines in gin's own order and layout; gin is left with no config at all."""
    gin.clear_config()
    try:
        gin.parse_config([*imports, *lines])
        return gin.config_str()
    finally:
        gin.clear_config()


def _key(binding: Binding) -> str:
    if binding.is_macro:
        return binding.name
    (full,) = names.matching(binding.name)
    scope = f'{binding.scope}/' if binding.scope else ''
    return f'{scope}{names.short_name(full)}.{binding.parameter}'


def _line(key: str, value: object) -> str:
    """A binding as gin reads it, its references by names that no two things share."""
    return f'{key} = {replaced(value, _unambiguous)!r}'


def _unambiguous(leaf: object) -> object:
    if not isinstance(leaf, Reference):
        return leaf
    (full,) = names.matching(leaf.name)
    return dataclasses.replace(leaf, name=names.short_name(full))


def _lines(call: Call) -> Iterator[str]:
    """A call's arguments, bound or by default, those that gin can write."""
    for binding in call.bound.values():
        yield _line(call.key(binding.parameter), binding.value)
    for parameter in names.signature(call.full).parameters.values():
        if parameter.name in call.bound or filled_in(call.full, parameter):
            continue
        if names.full_name(parameter.default):
            value = Reference((), names.full_name(parameter.default), False)
            yield _line(call.key(parameter.name), value)
        elif _is_literal(parameter.default):
            yield _line(call.key(parameter.name), parameter.default)


def _is_literal(value: object) -> bool:
    try:
        return ast.literal_eval(repr(value)) == value
    except (ValueError, SyntaxError):
        return False
