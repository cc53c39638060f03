"""A finding and its place: one line each; knows nothing of how they are found."""

import dataclasses
from typing import Literal

COMMAND_LINE = 'command line'


@dataclasses.dataclass(frozen=True)
class Place:
    """Where something stands: a line of a file, or the command line (line 0)."""

    document: str
    line: int = 0

    def __str__(self) -> str:
        return f'{self.document}:{self.line}' if self.line else self.document


def place_of(document: str, line: int) -> Place:
    """A line of a document; the command line has none."""
    return Place(document, 0 if document == COMMAND_LINE else line)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing to say about a config.

    Attributes:
      where: 'file:line', or 'command line'.
      message: one line: the name, what is wrong with it, what to write instead.
      severity: an error keeps the config from running; info is only said.
    """

    where: Place
    message: str
    severity: Literal['error', 'info'] = 'error'

    def __str__(self) -> str:
        kind = 'info: ' if self.severity == 'info' else ''
        return f'{self.where}: {kind}{one_line(self.message)}'


def one_line(text: str) -> str:
    """The text with every run of white space, line ends too, made one space."""
    return ' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())
