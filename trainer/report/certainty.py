"""How sure a net is of what it says, and whether it may be: calibration and errors."""

import numpy as np
from markupsafe import Markup

from trainer.calibration import binned, expected_error
from trainer.report.blocks import Block, Figure, Figures, Section, Text
from trainer.report.records import Record
from trainer.report.svg import Plane, drawing, tag

TARGETS, DOTS = 6, 600


def section(record: Record) -> Section:
    """The reliability diagram, or for numbers what was predicted over what is true."""
    where, arrays = record.evidence
    table = answers(arrays)
    if table is not None and table[0].sum():
        return Section(
            anchor='calibration', title='Calibration', blocks=calibrated(table, where)
        )
    blocks = scattered(arrays, record.names) if 'predicted' in arrays else []
    return Section(anchor='calibration', title='Predicted and true', blocks=blocks)


def answers(arrays: dict) -> np.ndarray | None:
    """Bins of confidence, of the evidence that has any; see `calibration.binned`."""
    if 'binned' in arrays:
        return arrays['binned']
    if 'guesses' not in arrays:
        return None
    right = arrays['guesses'][:, 0] == arrays['label']
    return binned(arrays['probabilities'][:, 0], right)


def calibrated(table: np.ndarray, where: str) -> list[Block]:
    """The error in words, and its diagram."""
    counts, confidence, right = table.sum(axis=1)
    error, gap = expected_error(table), (confidence - right) / counts
    lean = 'surer than it is right' if gap > 0 else 'less sure than it is right'
    words = (
        f'On the {where} data the expected calibration error is {error:.4f} '
        f'({len(table[0])} bins). On average the net is {confidence / counts:.1%} sure '
        f'and right in {right / counts:.1%}: {abs(gap):.1%} {lean}.'
    )
    figures = [
        Figure(
            title='Reliability',
            svg=reliability(table),
            legend=[],
            note='Bars: how often answers of that confidence are right. Where a bar '
            'ends below the dashed line the net is too sure, above it too shy.',
        ),
        Figure(title='How sure it is', svg=histogram(table), note='Answers in a bin.'),
    ]
    return [Text(text=words), Figures(figures=figures)]


def reliability(table: np.ndarray) -> Markup:
    """Accuracy of each bin, with the line on which it should lie."""
    counts, confidence, right = table
    plane = Plane([(0, 0), (1, 1)], margin=0)
    parts = plane.axes('confidence')
    for index in np.flatnonzero(counts):
        share = right[index] / counts[index]
        sure = confidence[index] / counts[index]
        words = f'{int(counts[index]):,} answers, {sure:.1%} sure, {share:.1%} right'
        parts.append(bar(plane, index / len(counts), share, 1 / len(counts), words))
    (x0, y0), (x1, y1) = plane.place(0, 0), plane.place(1, 1)
    parts.append(tag('line', x1=x0, y1=y0, x2=x1, y2=y1, class_='line ideal'))
    return drawing(parts, 'accuracy over confidence')


def histogram(table: np.ndarray) -> Markup:
    """How many answers are that sure."""
    counts = table[0]
    plane = Plane([(0, 0), (1, counts.max())], margin=0)
    parts = plane.axes('confidence')
    for index in np.flatnonzero(counts):
        words = f'{int(counts[index]):,} answers'
        height = counts[index]
        parts.append(bar(plane, index / len(counts), height, 1 / len(counts), words))
    return drawing(parts, 'answers over confidence')


def bar(plane: Plane, x: float, y: float, width: float, words: str) -> Markup:
    """One bar from the ground."""
    (left, top), (right, ground) = plane.place(x, y), plane.place(x + width, 0)
    size = {'width': right - left - 2, 'height': max(ground - top, 0.5)}
    hover = tag('title', words)
    return tag('rect', hover, x=left + 1, y=top, **size, class_='f0', fill_opacity=0.8)


def scattered(arrays: dict, names: list[str]) -> list[Block]:
    """A cloud for each target: predicted over true."""
    predicted, target = arrays['predicted'], arrays['target']
    step = max(1, len(target) // DOTS)
    figures = []
    for i in range(min(target.shape[1], TARGETS)):
        name = names[i] if i < len(names) else f'target {i}'
        cloud = np.stack([target[::step, i], predicted[::step, i]], axis=1)
        cloud = cloud[np.isfinite(cloud).all(axis=1)]
        if len(cloud):
            note = 'Across: true. Up: predicted. On the dashed line both are equal.'
            figures.append(Figure(title=name, svg=scatter(cloud), note=note))
    return [Figures(figures=figures)] if figures else []


def scatter(cloud: np.ndarray) -> Markup:
    """Points (true, predicted) and the line on which both are equal."""
    low, high = float(cloud.min()), float(cloud.max())
    plane = Plane([(low, low), (high, high)])
    (x0, y0), (x1, y1) = plane.place(low, low), plane.place(high, high)
    parts = [
        *plane.axes('true'),
        tag('line', x1=x0, y1=y0, x2=x1, y2=y1, class_='line ideal'),
    ]
    for x, y in cloud.tolist():
        cx, cy = plane.place(x, y)
        parts.append(tag('circle', cx=cx, cy=cy, r=2, class_='f0', fill_opacity=0.5))
    return drawing(parts, 'predicted over true')
