"""Which classes are known, and which are taken for which: counts, tables, a matrix.

Plain NumPy on the evidence of an evaluation; the definitions are scikit-learn's.
"""

import numpy as np
from markupsafe import Markup

from trainer.report.blocks import Block, Figure, Figures, Section, Table, Text
from trainer.report.records import Record
from trainer.report.svg import drawing, tag, text

MATRIX, WORST, PAIRS = 30, 20, 20  # classes in a matrix, rows in tables
CELL, LETTERS = 28, 13  # of a drawn name


def section(record: Record) -> Section:
    """The confusion matrix, the pairs most confused, and a table of all classes."""
    where, arrays = record.evidence
    counts, blocks = confusion(arrays, len(record.names)), []
    if counts is not None:
        names = record.names or list(map(str, range(len(counts))))
        blocks += [said(counts, where, arrays), *matrix(counts, names)]
        blocks += pairs(counts, names)
    blocks += class_tables(record, counts)
    return Section(anchor='classes', title='Classes', blocks=blocks)


def confusion(arrays: dict, num_classes: int) -> np.ndarray | None:
    """Examples (or pixels) of each class by what they are taken for, int64 [C, C]."""
    if 'confusion' in arrays:
        return arrays['confusion'].astype(np.int64)
    if 'guesses' not in arrays:
        return None
    label, guess = arrays['label'], arrays['guesses'][:, 0]
    cells = np.bincount(num_classes * label + guess, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def said(counts: np.ndarray, where: str, arrays: dict) -> Text:
    """What the counts come to, in a sentence."""
    right, total = int(np.trace(counts)), int(counts.sum())
    what = 'pixels' if 'confusion' in arrays else 'examples'
    return Text(
        text=f'{right:,} of {total:,} {what} of the {where} data are given their own '
        f'class at step {int(arrays["step"]):,}; {total - right:,} are not.'
    )


def matrix(counts: np.ndarray, names: list[str]) -> list[Block]:
    """Counts as a table of cells; of many classes those with the most mistakes."""
    chosen, title = np.arange(len(counts)), 'Confusion matrix'
    if len(counts) > MATRIX:
        wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
        chosen = np.sort(np.argsort(-wrong, kind='stable')[:WORST])
        title = f'Confusion matrix of the {WORST} classes with the most mistakes'
    small = counts[np.ix_(chosen, chosen)]
    figure = Figure(
        title=title,
        svg=cells(small, [names[i] for i in chosen]),
        note='A row is a class, a column what its examples are taken for. The stronger '
        'a cell, the larger its share of the row; the diagonal is right.',
        least=120 + len(chosen) * 18,
    )
    return [Figures(figures=[figure], wide=True)]


def cells(counts: np.ndarray, names: list[str]) -> Markup:
    """The drawing of a matrix, a number in each cell that is not 0."""
    size, rows = len(counts), np.maximum(counts.sum(axis=1, keepdims=True), 1)
    edge, parts = margin(names), []
    for i, name in enumerate(names):
        middle = edge + (i + 0.5) * CELL
        label = Markup('').join([tag('title', name), cut(name, LETTERS)])
        parts.append(text(edge - 6, middle + 4, label, text_anchor='end'))
        turned = f'rotate(-45 {middle} {edge - 8})'
        parts.append(text(middle, edge - 8, cut(name, LETTERS), transform=turned))
    for i, j in np.ndindex(size, size):
        if counts[i, j]:
            share = counts[i, j] / rows[i, 0]
            words = f'{names[i]} → {names[j]}'
            place = edge + j * CELL, edge + i * CELL
            parts += cell(*place, int(counts[i, j]), share, words)
    side = size * CELL
    frame = {'x': edge, 'y': edge, 'width': side, 'height': side}
    parts.append(tag('rect', **frame, fill='none', class_='axis'))
    width = edge + side + edge // 2
    return drawing(parts, 'confusion matrix', width, edge + side + 2, most=1.3)


def margin(names: list[str]) -> int:
    """Room for the names beside a matrix."""
    return 14 + 7 * min(max(map(len, names)), LETTERS)


def cell(x: float, y: float, count: int, share: float, words: str) -> list[Markup]:
    """One cell: a square as dark as its share, and the count."""
    hover = tag('title', f'{words}: {count:,} ({share:.1%})')
    square = {'x': x + 1, 'y': y + 1, 'width': CELL - 2, 'height': CELL - 2, 'rx': 3}
    opacity = round(0.08 + 0.92 * float(share), 3)
    kind = 'over' if opacity > 0.55 else 'ink'
    shown = f'{count:,}' if count < 1000 else f'{count / 1000:.3g}k'
    if count >= 999_500:
        shown = f'{count / 1e6:.3g}M'
    kind += ' small' if len(shown) > 3 else ''
    middle = {'text_anchor': 'middle', 'class_': kind}
    return [
        tag('rect', hover, **square, fill_opacity=opacity, class_='cell'),
        text(x + CELL / 2, y + CELL / 2 + 4, shown, **middle),
    ]


def pairs(counts: np.ndarray, names: list[str]) -> list[Block]:
    """What is most often taken for what."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind='stable')[:PAIRS]
    rows = []
    for place in order:
        i, j = np.unravel_index(place, wrong.shape)
        if wrong[i, j]:
            share = wrong[i, j] / counts[i].sum()
            rows.append([names[i], names[j], int(wrong[i, j]), percent(share)])
    header = ['class', 'taken for', 'times', 'of the class']
    if not rows:
        return []
    return [Table(title='Most confused pairs', header=header, rows=rows)]


def class_tables(record: Record, counts: np.ndarray | None) -> list[Block]:
    """A row for each class; of many classes the worst, and all of them folded."""
    header, rows = _of_counts(counts, record.names) if counts is not None else ([], [])
    if not rows:
        header, rows = _of_scores(record)
    if not rows:
        return []
    ranked = sorted(rows, key=lambda row: (row[2] is None, row[2] or 0))
    if len(rows) <= MATRIX:
        return [Table(title='Each class, the worst first', header=header, rows=ranked)]
    title = f'The {WORST} worst of {len(rows):,} classes'
    return [
        Table(title=title, header=header, rows=ranked[:WORST]),
        Table(title=f'All {len(rows):,} classes', header=header, rows=rows, fold=True),
    ]


def class_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, [C]; NaN where there is nothing."""
    hits = np.diag(counts).astype(float)
    with np.errstate(invalid='ignore', divide='ignore'):
        return {
            'recall': hits / counts.sum(axis=1),
            'precision': hits / counts.sum(axis=0),
            'f1': 2 * hits / (counts.sum(axis=0) + counts.sum(axis=1)),
        }


def _of_counts(counts: np.ndarray, names: list[str]) -> tuple[list, list]:
    names = names or list(map(str, range(len(counts))))
    scores = class_scores(counts)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    rows = []
    for i, name in enumerate(names):
        other = int(wrong[i].argmax())
        mistaken = f'{names[other]} ({wrong[i, other]:,})' if wrong[i, other] else None
        values = [known(scores[key][i]) for key in scores]
        rows.append([name, int(counts[i].sum()), *values, mistaken])
    return ['class', 'count', *scores, 'mostly taken for'], rows


def _of_scores(record: Record) -> tuple[list, list]:
    """From the scores of single classes, targets or keypoints that were logged."""
    where, arrays = record.evidence
    found = record.results or record.best
    where = where or ('test' if any(k.startswith('test/') for k in found) else 'val')
    scores = {k.partition('/')[2]: v for k, v in found.items() if k.startswith(where)}
    first = [k for k in scores if k.endswith('_0') and '_' in k.removesuffix('_0')]
    if not first:
        return [], []
    columns = [k.removesuffix('_0') for k in first]
    total = sum(k.startswith(f'{columns[0]}_') for k in scores)
    counts = arrays.get('count')
    rows = []
    for i in range(total):
        name = record.names[i] if i < len(record.names) else str(i)
        count = None if counts is None else int(counts[i])
        rows.append([name, count, *(scores.get(f'{c}_{i}') for c in columns)])
    part = columns[0].rpartition('_')[2]
    return [part, 'count', *(c.rpartition('_')[0] for c in columns)], rows


def percent(share: float) -> str:
    """'12.5 %'."""
    return f'{100 * share:.1f} %'


def known(value: float) -> float | None:
    """A Python float, None for NaN."""
    return float(value) if np.isfinite(value) else None


def cut(name: str, most: int) -> str:
    """A name with an end that is left out, where it is long."""
    return name if len(name) <= most else f'{name[: most - 1]}…'
