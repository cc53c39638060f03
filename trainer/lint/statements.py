"""A gin text as statements with their places, read by gin's own parser, not executed.

Knows the grammar, not the names: nothing here asks whether a name exists.
"""

import dataclasses
import reprlib
import warnings
from collections.abc import Callable, Iterator

from gin import config_parser

from trainer.lint.finding import Place, place_of


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@train/Images()`: what is registered under a name, called or not, in a scope."""

    scopes: tuple[str, ...]
    name: str
    evaluate: bool

    def __repr__(self) -> str:
        return f'@{"/".join((*self.scopes, self.name))}{"()" if self.evaluate else ""}'


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%BATCH`: the value that another line gives to a name."""

    name: str

    def __repr__(self) -> str:
        return f'%{self.name}'


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A value that is not gin, with the references and macros that it mentions."""

    mentions: tuple[Reference | Macro, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Binding:
    """`train/Images.batch = 128`, or `BATCH = 128` (a macro: no parameter).

    Attributes:
      place: of the binding; `named_at` of the line that names the configurable, which
        is another where the binding stands in an indented block.
      reading: a number for each time that a file or a command-line binding is read.
      mended: whether its name was another and has been put right.
    """

    scope: str
    name: str
    parameter: str
    value: object
    place: Place
    named_at: Place
    reading: int = 0
    mended: bool = False

    @property
    def is_macro(self) -> bool:
        return not self.parameter

    def __str__(self) -> str:
        scope = f'{self.scope}/' if self.scope else ''
        return f'{scope}{self.name}{"." if self.parameter else ""}{self.parameter}'


@dataclasses.dataclass(frozen=True)
class Include:
    """`include 'configs/base.gin'`."""

    path: str
    place: Place


@dataclasses.dataclass(frozen=True)
class Import:
    """`import my_package.my_models`; `text` is the line as gin would write it."""

    module: str
    text: str
    place: Place


Statement = Binding | Include | Import


class _Names(config_parser.ParserDelegate):
    """What gin's parser calls for each `@` and `%`: keeps the name as it is."""

    def configurable_reference(self, scoped_configurable_name, evaluate):
        *scopes, name = scoped_configurable_name.split('/')
        return Reference(tuple(scopes), name, evaluate)

    def macro(self, macro_name):
        return Macro(macro_name)


def parse(text: str, document: str, first_line: int = 1) -> list[Statement]:
    """All statements of a text; raises what gin's parser does at the first bad one."""
    block = None
    statements = []
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for parsed in config_parser.ConfigParser(text, _Names()):
            place = place_of(document, parsed.location.line_num + first_line - 1)
            if isinstance(parsed, config_parser.BlockDeclaration):
                block = (parsed.scope, parsed.selector, place)
            else:
                statements.append(_statement(parsed, place, block))
    return statements


def parse_value(text: str) -> object:
    """The value that a text is in gin; raises ValueError where it is none."""
    try:
        (binding,) = parse(f'value = {text}', '')
    except Exception as error:
        raise ValueError(f'{text} is no gin value') from error
    return binding.value


def _statement(parsed, place: Place, block) -> Statement:
    if isinstance(parsed, config_parser.IncludeStatement):
        return Include(parsed.filename, place)
    if isinstance(parsed, config_parser.ImportStatement):
        return Import(parsed.module, parsed.format(), place)
    scope, name, parameter = parsed.scope, parsed.selector, parsed.arg_name
    if (name, parameter) in (('macro', 'value'), ('gin.macro', 'value')):
        scope, name, parameter = '', scope, ''
    elif not parameter:
        scope, name = '', f'{scope}/{name}' if scope else name
    inside = block is not None and block[:2] == (parsed.scope, parsed.selector)
    named_at = block[2] if inside and parsed.location.char_num is not None else place
    return Binding(scope, name, parameter, parsed.value, place, named_at)


def shown(value: object) -> str:
    """A value as gin writes it, cut where it is long."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    try:
        return short.repr(value)
    except ValueError:
        return 'a number too long to write'


def replaced(value: object, change: Callable[[object], object]) -> object:
    """The value with `change` applied to every reference, macro and literal in it."""
    if isinstance(value, dict):
        pairs = value.items()
        return {replaced(k, change): replaced(v, change) for k, v in pairs}
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, change) for item in value)
    return change(value)


def walk(value: object) -> Iterator[object]:
    """The value and all that is inside it: references, macros and literals."""
    yield value
    children = ()
    if isinstance(value, dict):
        children = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple):
        children = value
    elif isinstance(value, Unreadable):
        children = value.mentions
    for child in children:
        yield from walk(child)
