"""Drawings as SVG text: lines over steps, points, bars, tables of cells.

Small on purpose: a page must open without a script and without a library. Colours and
dashes are classes that page.css gives a look in both themes. Every text is escaped.
"""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from trainer.report.page import shown

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 32
POINTS = 240  # of a line at most; more would not be seen
Line = Sequence[tuple[float, float]]


def tag(name: str, content: object = '', **attributes: object) -> Markup:
    """An element; `class_` is the attribute class, other _ are hyphens."""
    said = ''.join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
    )
    return Markup(f'<{name}{said}>{escape(content)}</{name}>')


def text(x: float, y: float, words: object, **attributes: object) -> Markup:
    """Words at a place."""
    return tag('text', words, x=x, y=y, **attributes)


def drawing(
    parts: Iterable[Markup], title: str, width=WIDTH, height=HEIGHT, most: float = 2
) -> Markup:
    """The whole picture, enlarged to `most` times its size where there is room.

    The title is what those hear who do not see it.
    """
    inside = Markup('').join([tag('title', title), *parts])
    box = f'0 0 {_number(width)} {_number(height)}'
    style = f'max-width: {most * width:.0f}px'
    return tag('svg', inside, viewBox=box, role='img', style=style)


def line_chart(
    lines: Sequence[Line],
    title: str,
    *,
    series: Sequence[int] | None = None,
    log: bool = False,
    x_name: str = 'step',
    marked: tuple[float, float] | None = None,
) -> Markup:
    """Curves over one axis.

    Args:
      lines: points (x, y) of each, x ascending; what is not finite is a gap.
      title: for those who do not see it.
      series: which colour and dash each line has; default 0, 1, ...
      log: draw the logarithm of y; all must be above 0.
      x_name: under the axis.
      marked: a point with a ring around it, such as the best one.
    """
    lines = [[p for p in line if all(map(math.isfinite, p))] for line in lines]
    points = [point for line in lines for point in line]
    if not points:
        return drawing([text(WIDTH / 2, HEIGHT / 2, 'no data yet')], title)
    plane = Plane(points, log)
    parts = plane.axes(x_name)
    for number, line in enumerate(lines):
        kind = number if series is None else series[number]
        parts.append(plane.curve(thinned(line), kind))
    if marked:
        x, y = plane.place(*marked)
        where = int(marked[0]) if float(marked[0]).is_integer() else marked[0]
        words = tag('title', f'{shown(marked[1])} at {x_name} {shown(where)}')
        parts.append(tag('circle', words, cx=x, cy=y, r=5, class_='best'))
    return drawing(parts, title)


class Plane:
    """Where values lie on paper."""

    def __init__(self, points: Line, log: bool = False, margin: float = 0.06):
        xs, ys = zip(*points, strict=True)
        self.log = log and min(ys) > 0
        self.x = _span(min(xs), max(xs), 0)
        self.y = _span(*(self._scaled(y) for y in (min(ys), max(ys))), margin)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """On paper."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (self._scaled(y) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    def axes(self, x_name: str, marks: Sequence | None = None) -> list[Markup]:
        """Lines and numbers behind the curves; `marks` are (x, words) below them."""
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        parts = []
        for value in self._marks():
            y = self.place(self.x[0], value)[1]
            parts.append(tag('line', x1=LEFT, x2=right, y1=y, y2=y, class_='grid'))
            label = short(value)
            parts.append(text(LEFT - 6, y + 4, label, text_anchor='end'))
        parts.append(
            tag('line', x1=LEFT, x2=right, y1=bottom, y2=bottom, class_='axis')
        )
        if marks is None:
            marks = [(value, short(value)) for value in ticks(*self.x, 4)]
        for value, words in marks:
            x = self.place(value, self._raw(self.y[0]))[0]
            anchor = 'end' if x > right - 14 else 'middle'
            parts.append(text(x, bottom + 15, words, text_anchor=anchor))
        middle = (LEFT + right) / 2
        return [*parts, text(middle, HEIGHT - 3, x_name, text_anchor='middle')]

    def curve(self, line: Line, kind: int) -> Markup:
        """A line; of a single point a dot."""
        places = [self.place(*point) for point in line]
        if len(places) == 1:
            (x, y) = places[0]
            return tag('circle', cx=x, cy=y, r=3.5, class_=f'f{kind % 6}')
        path = ' '.join(f'{_number(x)},{_number(y)}' for x, y in places)
        return tag('polyline', points=path, class_=f'line s{kind % 6}')

    def _marks(self) -> list[float]:
        if not self.log:
            return ticks(*self.y, 5)
        whole = range(math.ceil(self.y[0]), math.floor(self.y[1]) + 1)
        if len(whole) >= 2:
            return [10.0**power for power in whole[:: math.ceil(len(whole) / 5)]]
        return [m for m in ticks(*map(self._raw, self.y), 5) if m > 0]

    def _scaled(self, y: float) -> float:
        return math.log10(y) if self.log else y

    def _raw(self, y: float) -> float:
        return 10.0**y if self.log else y


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two, about so many of them."""
    raw = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def short(value: float) -> str:
    """A number beside an axis: '1.5k', '2M', '0.25', '1e-4'."""
    for size, unit in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if abs(value) >= size * (10 if unit == 'k' else 1):
            return f'{value / size:g}{unit}'
    if value and abs(value) < 1e-3:
        return f'{value:.3g}'.replace('e-0', 'e-')
    return f'{value:.6g}'


def thinned(line: Line, most: int = POINTS) -> Line:
    """Fewer points with the same shape: of each stretch the lowest and highest."""
    if len(line) <= most:
        return line
    size = math.ceil(len(line) * 2 / most)
    kept = []
    for start in range(0, len(line), size):
        part = line[start : start + size]
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept


def _span(low: float, high: float, margin: float) -> tuple[float, float]:
    """A range that is not empty, with some room."""
    if high <= low:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    return low - margin * (high - low), high + margin * (high - low)


def _number(value: object) -> object:
    return f'{value:.1f}'.removesuffix('.0') if isinstance(value, float) else value
