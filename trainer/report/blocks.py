"""What a page is made of, before it is HTML: sections of tables, figures, facts, text.

Plain data, so that the same content can be tested, or printed. What is text here is
escaped where the page is written; only `svg` and `Picture.source` are markup and URLs
of our own making.
"""

import base64
import dataclasses
import pathlib
from collections.abc import Sequence

from markupsafe import Markup

KINDS = {'.png': 'png', '.jpg': 'jpeg', '.jpeg': 'jpeg', '.webp': 'webp'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph; `tone` is '', 'lead', 'quiet' or 'warn'."""

    text: str
    tone: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
    """Lines to be copied, such as a command, under what they are for."""

    title: str
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """Names with their values, in the order given."""

    rows: Sequence[tuple[str, object]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiles:
    """A few numbers that matter most: (name, value, small print)."""

    tiles: Sequence[tuple[str, str, str]]


@dataclasses.dataclass(frozen=True)
class Link:
    """Words in a table that lead to a file beside the page."""

    text: str
    address: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under a header; numbers stand to the right, None is a dash.

    Attributes:
      title: above it, '' for none.
      fold: whether it is hidden under its title until it is asked for.
      mono: whether it is shown as code, as configs are.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ''
    fold: bool = False
    mono: bool = False

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, and stand to the right."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        return [any(map(is_number, column)) for column in columns]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with its legend: (label, index of the series).

    Attributes:
      note: below it.
      least: pixels of width; where there are fewer it can be moved sideways.
    """

    title: str
    svg: Markup
    legend: Sequence[tuple[str, int]] = ()
    note: str = ''
    least: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """Drawings beside each other as far as there is room."""

    figures: Sequence[Figure]
    wide: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """An image with what is said of it; `source` is a data URL."""

    source: str
    caption: str
    detail: str = ''


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """A gallery; `wide` pictures are large, and have their caption above."""

    pictures: Sequence[Picture]
    title: str = ''
    wide: bool = False


Block = Text | Code | Facts | Tiles | Table | Figures | Pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page, with a heading; `anchor` is its place in links."""

    anchor: str
    title: str
    blocks: Sequence[Block]


def is_number(value: object) -> bool:
    """Whether it is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def data_url(image: bytes, kind: str = 'png') -> str:
    """The bytes of a PNG, JPEG or WebP file as an address that holds them."""
    return f'data:image/{kind};base64,{base64.b64encode(image).decode()}'


def picture_of(path: pathlib.Path, caption: str, detail: str = '') -> Picture:
    """The picture in a PNG, JPEG or WebP file.

    Raises:
      OSError: it cannot be read.
    """
    kind = KINDS[path.suffix.lower()]
    return Picture(
        source=data_url(path.read_bytes(), kind), caption=caption, detail=detail
    )
