"""Draws the learning curves of runs with several seeds as small SVG pictures.

    python -m benchmarks.curves runs/detector --score=map50

Reads `seed_*/metrics.jsonl` below each directory; left the training loss, on a
logarithmic scale, right the score on the evaluation data, a line for each seed.
"""

import argparse
import json
import math
import pathlib
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 360, 220  # of a panel, pixels
LEFT, TOP, BOTTOM = 56, 28, 34
INKS = ('#1b6ca8', '#d1495b', '#2e8b57', '#edae49', '#6a4c93')


def main():
    """Parses the command line and writes a picture for each directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('directories', nargs='+', type=pathlib.Path)
    parser.add_argument('--score', required=True, help="such as 'miou'")
    parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('docs/curves'))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for directory in given.directories:
        path = given.out / f'{directory.name}.svg'
        path.write_text(picture(directory, directory.name, given.score))
        print(f'{path}: {path.stat().st_size:,} bytes')


def picture(directory: pathlib.Path, name: str, score: str) -> str:
    """Two panels as SVG: the loss of training, and a score of evaluations."""
    loss, right = 'train/loss', f'val/{score}'
    seeds = sorted(directory.glob('seed_*'))
    left = {seed.name: curve(seed, loss) for seed in seeds}
    panels = [
        panel(0, f'{name}: {loss}', left, logarithmic=True),
        panel(WIDTH, right, {seed.name: curve(seed, right) for seed in seeds}),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{HEIGHT}"'
        f' font-family="sans-serif" font-size="11">'
    )
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return '\n'.join([head, ground, *panels, '</svg>', ''])


def curve(run: pathlib.Path, metric: str) -> list[tuple[int, float]]:
    """(step, value) wherever the metric was logged."""
    lines = (run / 'metrics.jsonl').read_text().splitlines()
    rows = (json.loads(line) for line in lines)
    return [(row['step'], row[metric]) for row in rows if metric in row]


def panel(shift: int, title: str, curves: dict, logarithmic: bool = False) -> str:
    """Axes with a line for each curve, `shift` pixels to the right."""
    points = [point for line in curves.values() for point in line]
    last = max(step for step, _ in points)
    low, high = min(v for _, v in points), max(v for _, v in points)
    scale = math.log if logarithmic else float
    low, high = (low, high) if logarithmic else (min(low, 0.0), max(high, 1.0))
    span = (scale(high) - scale(low)) or 1.0

    def place(step, value):
        x = shift + LEFT + (WIDTH - LEFT - 12) * step / last
        y = TOP + (HEIGHT - TOP - BOTTOM) * (scale(high) - scale(value)) / span
        return f'{x:.1f},{y:.1f}'

    return '\n'.join(
        [
            f'<text x="{shift + LEFT}" y="16">{escape(title)}</text>',
            f'<polyline fill="none" stroke="#888" points="{place(0, high)} '
            f'{place(0, low)} {place(last, low)}"/>',
            *(label(shift, place(0, value), value) for value in (low, high)),
            f'<text x="{shift + WIDTH - 12}" y="{HEIGHT - 14}" text-anchor="end">'
            f'{last:,} steps</text>',
            *(
                f'<polyline fill="none" stroke="{INKS[number % len(INKS)]}" '
                f'stroke-width="1.5" points="{" ".join(place(*p) for p in line)}">'
                f'<title>{escape(seed)}</title></polyline>'
                for number, (seed, line) in enumerate(curves.items())
            ),
        ]
    )


def label(shift: int, place: str, value: float) -> str:
    """A number left of the axis."""
    y = float(place.split(',')[1]) + 4
    return (
        f'<text x="{shift + LEFT - 6}" y="{y:.1f}" text-anchor="end">{value:.3g}</text>'
    )


if __name__ == '__main__':
    main()
