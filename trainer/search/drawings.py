"""Drawings of a search: its history, how trials spread, what each value brought."""

import itertools
from collections.abc import Sequence

from markupsafe import Markup
from optuna.trial import FrozenTrial

from trainer.report.page import shown
from trainer.report.svg import Plane, drawing, short, tag, text
from trainer.search.space import at, is_range, position

HIGH, SIDE, GAP = 230, 46, 110


def history(trials: Sequence[FrozenTrial], sign: int) -> Markup:
    """Values of trials in order, and the best one so far; `sign` -1 where more is."""
    points = [(t.number, t.value) for t in trials]
    reached = itertools.accumulate((sign * value for _, value in points), min)
    best = [(t.number, sign * r) for t, r in zip(trials, reached, strict=True)]
    plane = Plane(points)
    parts = [*plane.axes('trial'), plane.curve(best, 0)]
    return drawing([*parts, *dots(plane, points)], 'value of each trial')


def slices(key: str, choices: Sequence, trials: Sequence[FrozenTrial]) -> Markup:
    """Values over one parameter, whose axis is logarithmic where its range is."""
    points = [(position(choices, t.params[key]), t.value) for t in trials]
    ends = [(place, trials[0].value) for place in (0.0, 1.0)]
    plane = Plane([*points, *ends])
    parts = plane.axes(key, marks(choices))
    return drawing([*parts, *dots(plane, points)], f'value over {key}')


def dots(plane: Plane, points: Sequence[tuple[float, float]]) -> list[Markup]:
    """A dot at each point, which tells its value."""
    made = []
    for point in points:
        x, y = plane.place(*point)
        words = tag('title', shown(point[1]))
        made.append(tag('circle', words, cx=x, cy=y, r=3.5, class_='f0'))
    return made


def marks(choices: Sequence) -> list[tuple[float, str]]:
    """Positions with the values that lie there."""
    if is_range(choices):
        return [(p, short(float(f'{at(choices, p):.2g}'))) for p in (0.0, 0.5, 1.0)]
    return [(position(choices, value), str(value)) for value in choices]


def parallel(space: dict, trials: Sequence[FrozenTrial], best: FrozenTrial) -> Markup:
    """A line for each trial through its values; the best one is dashed."""
    columns = [2 * SIDE + GAP * place for place in range(len(space))]
    width, parts = columns[-1] + 2 * SIDE, []
    for trial in sorted(trials, key=lambda trial: trial.number == best.number):
        places = [position(c, trial.params[key]) for key, c in space.items()]
        spots = zip(columns, map(height, places), strict=True)
        path = ' '.join(f'{x},{y:.1f}' for x, y in spots)
        strong = trial.number == best.number
        look = {'class_': 'line s1' if strong else 'line s0'}
        look |= {'stroke_width': 3} if strong else {'opacity': '0.35'}
        words = tag('title', f'trial {trial.number}: {shown(trial.value)}')
        parts.append(tag('polyline', words, points=path, **look))
    for x, (key, choices) in zip(columns, space.items(), strict=True):
        parts.append(tag('line', x1=x, x2=x, y1=height(0), y2=height(1), class_='axis'))
        name = key.rpartition('.')[2]
        parts.append(text(x, HIGH - 6, name, text_anchor='middle'))
        for place, words in marks(choices):
            look = {'text_anchor': 'end', 'class_': 'halo'}  # lines run behind it
            parts.append(text(x - 6, height(place) + 4, words, **look))
    return drawing(parts, 'values of each trial', width, HIGH)


def height(place: float) -> float:
    """On paper, of a position."""
    return HIGH - 30 - place * (HIGH - 50)
