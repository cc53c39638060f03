"""Reads on after a syntax error, so that one bad line does not hide the others.

Cuts a text that gin's parser refuses into statements by their first words, parses each
alone, and says of every bad one what is wrong. Knows gin's grammar, not the names.
"""

import dataclasses
import re
from collections.abc import Iterator

from trainer.lint.advice import advice
from trainer.lint.finding import Finding, Place, place_of
from trainer.lint.statements import (
    Binding,
    Macro,
    Reference,
    Statement,
    Unreadable,
    parse,
)

KEY = re.compile(r'\s*((?:\w+/)*[\w.]+)\s*=')
BLOCK = re.compile(r'((?:\w+/)*[\w.]+)\s*:\s*(#.*)?$')
MENTION = re.compile(r'([@%]?)((?:\w+/)*)([A-Za-z_][\w.]*)(\(\))?')


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some lines of a text; `header` is the first line of the block they are in."""

    lines: tuple[str, ...]
    first_line: int
    header: str = ''

    @property
    def text(self) -> str:
        return '\n'.join(self.lines)


def read_text(text: str, document: str) -> tuple[list[Statement], list[Finding]]:
    """The statements of a text, and a finding for each one that is not gin.

    Args:
      text: of a file, or of one command-line binding.
      document: the name that the findings give.
    """
    try:
        return parse(text, document), []
    except Exception as error:
        statements, findings = [], []
        for piece in cut(text):
            good, bad = _read_piece(piece, document)
            statements += good
            findings += bad
        # Statements that are gin each by itself, but not one after the other.
        whole = Finding(place_of(document, 1), advice(text, error))
        return statements, findings or [whole]


def cut(text: str) -> list[Piece]:
    """The text's statements: each begins where a line starts with a letter or sign."""
    pieces = _cut_at(text.split('\n'), 1, re.compile(r'[^\s#)\]}]'))
    return [part for piece in pieces for part in _cut_block(piece)]


def _cut_block(piece: Piece) -> list[Piece]:
    """A block's lines one by one, each with the header; other pieces as they are."""
    if not BLOCK.match(piece.lines[0]) or len(piece.lines) == 1:
        return [piece]
    starts = re.compile(r'\s+\w+\s*=')
    inner = _cut_at(piece.lines[1:], piece.first_line + 1, starts)
    return [dataclasses.replace(part, header=piece.lines[0]) for part in inner]


def _cut_at(lines, first_line: int, start: re.Pattern) -> list[Piece]:
    written = [i for i, line in enumerate(lines) if re.match(r'\s*[^\s#]', line)]
    starts = sorted({*written[:1], *(i for i in written if start.match(lines[i]))})
    ends = [*starts[1:], len(lines)] if starts else []
    return [
        Piece(tuple(lines[begin:end]), first_line + begin)
        for begin, end in zip(starts, ends, strict=True)
    ]


def _read_piece(piece: Piece, document: str) -> tuple[list[Statement], list[Finding]]:
    text = f'{piece.header}\n{piece.text}' if piece.header else piece.text
    first_line = piece.first_line - bool(piece.header)
    try:
        return parse(text, document, first_line), []
    except Exception as error:
        place = place_of(document, piece.first_line)
        finding = Finding(place, f'{_title(piece)}: {advice(piece.text, error)}')
        return _unreadable(piece, place), [finding]


def _title(piece: Piece) -> str:
    """'Experiment.epochs = true': the statement's first line, its comment cut off."""
    line = piece.lines[0].split(' #')[0].strip()
    block = BLOCK.match(piece.header)
    line = f'{block[1]}.{line}' if block else line
    return line if len(line) <= 60 else line[:57] + '...'


def _unreadable(piece: Piece, place: Place) -> list[Statement]:
    """The binding whose value could not be read: its name and what it mentions."""
    key = KEY.match(piece.lines[0])
    if not key:
        return []
    *scopes, name = key[1].split('/')
    block = BLOCK.match(piece.header)
    if block:
        *scopes, name = f'{block[1]}.{name}'.split('/')
    name, _, parameter = name.rpartition('.')
    if not name:
        scopes, name, parameter = [], '/'.join([*scopes, parameter]), ''
    value = Unreadable(tuple(_mentions(piece.text.partition('=')[2])))
    return [Binding('/'.join(scopes), name, parameter, value, place, place)]


def _mentions(text: str) -> Iterator[Reference | Macro]:
    for sign, scopes, name, call in MENTION.findall(text):
        if sign != '@':
            yield Macro(scopes + name)
        if sign != '%':
            yield Reference(tuple(scopes.split('/')[:-1]), name, bool(call))
