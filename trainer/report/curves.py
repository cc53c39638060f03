"""How training went, as curves over its steps."""

from collections.abc import Iterator, Sequence

from trainer.report.blocks import Figure, Figures, Section
from trainer.report.records import Record
from trainer.report.svg import Line, line_chart
from trainer.results import is_part, is_score

LOG_ABOVE = 30  # highest over lowest: then a norm is drawn on a logarithmic axis


def section(record: Record) -> Section:
    """Loss, scores, learning rate and norms, as far as they were logged."""
    figures = [*losses_and_scores(record), *rates_and_norms(record)]
    blocks = [Figures(figures=figures)] if figures else []
    return Section(anchor='curves', title='Curves', blocks=blocks)


def losses_and_scores(record: Record) -> Iterator[Figure]:
    """A figure for each measure, training and every evaluation in it."""
    seen = {key: None for row in record.lines for key in row}
    scores = [k for k in seen if is_score(k) and not is_part(k)]
    roles = dict.fromkeys(
        k.partition('/')[0] for k in scores if not k.startswith(('perf/', 'test/'))
    )
    measures = dict.fromkeys(k.partition('/')[2] for k in scores)
    for measure in measures:
        keys = [f'{role}/{measure}' for role in ('train', *roles)]
        keys = [key for key in keys if key in seen]
        lines = [points(record, key) for key in keys]
        drawn = [k for k, line in zip(keys, lines, strict=True) if line]
        if drawn:
            yield _figure(record, measure, drawn)


def _figure(record: Record, measure: str, keys: Sequence[str]) -> Figure:
    marked = None
    if record.metric in keys and record.best:
        marked = record.best['step'], record.best[record.metric]
    lines = [points(record, key) for key in keys]
    values = [y for line in lines for _, y in line]
    log = 'loss' in measure and min(values) > 0 and max(values) > 100 * min(values)
    return Figure(
        title=f'{measure} (logarithmic)' if log else measure,
        svg=line_chart(lines, f'{measure} over steps', marked=marked, log=log),
        legend=[(key.partition('/')[0], index) for index, key in enumerate(keys)],
        note='The ring is the best evaluation.' if marked else '',
    )


def rates_and_norms(record: Record) -> Iterator[Figure]:
    """The learning rate, and how long gradients and updates are."""
    titles = {
        'learning_rate': 'learning rate',
        'train/grad_norm': 'gradient norm',
        'train/update_norm': 'update norm',
    }
    for key, title in titles.items():
        line = points(record, key)
        if not line:
            continue
        values = [y for _, y in line]
        log = min(values) > 0 and max(values) > LOG_ABOVE * min(values)
        log = log and 'norm' in key
        name = f'{title} (logarithmic)' if log else title
        yield Figure(title=name, svg=line_chart([line], f'{title} over steps', log=log))


def points(record: Record, key: str) -> Line:
    """(step, value) of everything that was logged under a name."""
    return [
        (float(row['step']), float(row[key]))
        for row in record.lines
        if row.get(key) is not None
    ]
