"""A comparison as people read it: on a terminal, as JSON, and as a page."""

from trainer.console import table
from trainer.report.blocks import Block, Figure, Figures, Section, Table, Text
from trainer.report.comparison import Comparison, Group
from trainer.report.curves import points
from trainer.report.page import page, shown
from trainer.report.records import Record
from trainer.report.settings import written
from trainer.report.svg import line_chart

COLUMNS = 6  # runs beside each other in the table of differences
TEST = (
    "p: Welch's t-test of a group against the best one, two-sided, over its runs; not "
    'corrected for several comparisons. Under 0.05 chance alone is an unlikely reason.'
)


def as_text(found: Comparison, width: int | None = None) -> str:
    """For a terminal."""
    header, rows = run_rows(found)
    parts = [table(rows, header, width)]
    header, rows = group_rows(found)
    parts += ['', table(rows, header, width), TEST]
    header, rows = difference_rows(found)
    if rows:
        rows = [[str(cell) for cell in row] for row in rows]
        parts += ['', 'config differences', table(rows, header, width)]
    return '\n'.join(parts)


def as_json(found: Comparison) -> dict:
    """For programs."""
    return {
        'metric': found.metric,
        'runs': [
            {
                'run': str(run.directory),
                'group': group_of(found, run).name,
                'status': run.standing.status,
                'seed': run.config.get('seed'),
                'score': found.score(run),
                'scores': run.scores,
            }
            for run in found.ranked
        ],
        'groups': [
            {
                'group': group.name,
                'runs': [str(run.directory) for run in group.runs],
                'mean': group.mean,
                'std': group.std,
                'n': len(group.values),
                'p': group.p,
                'test': "Welch's t-test against the best group, two-sided",
            }
            for group in found.groups
        ],
        'differences': {
            key: {
                str(run.directory): value
                for run, value in zip(found.ranked, values, strict=True)
            }
            for key, values in found.differences.items()
        },
    }


def as_page(found: Comparison) -> str:
    """One HTML file, with curves."""
    sections = [
        Section(anchor='runs', title='Runs', blocks=_tables(found)),
        Section(anchor='curves', title='Curves', blocks=_curves(found)),
        Section(anchor='config', title='Config differences', blocks=_settings(found)),
    ]
    count = len(found.runs)
    return page(f'{count} runs by {found.metric}', sections, kicker='comparison')


def run_rows(found: Comparison) -> tuple[list[str], list[list]]:
    """Header and a row for each run, the best first."""
    others = dict.fromkeys(
        key for run in found.ranked for key in run.scores if key != found.metric
    )
    role = found.metric.partition('/')[0]
    others = sorted(others, key=lambda key: not key.startswith(f'{role}/'))[:3]
    names = found.names
    rows = [
        [
            names[run],
            group_of(found, run).name,
            str(run.config.get('seed')),
            run.standing.status,
            found.score(run),
            *(run.scores.get(key) for key in others),
        ]
        for run in found.ranked
    ]
    return ['run', 'group', 'seed', 'status', found.metric, *others], rows


def group_rows(found: Comparison) -> tuple[list[str], list[list]]:
    """Header and a row for each group, the best mean first."""
    rows = [
        [
            group.name,
            len(group.values),
            group.mean,
            group.std,
            verdict(group),
        ]
        for group in found.groups
    ]
    return ['group', 'n', f'mean {found.metric}', 'std', 'against the best'], rows


def verdict(group: Group) -> str:
    """What the test says of a group."""
    if group.name == 'A':
        return 'the best mean'
    if group.p is None:
        return 'too few runs to say'
    sure = 'significant' if group.p < 0.05 else 'not significant'
    return f'{sure}, p = {group.p:.3g}'


def difference_rows(found: Comparison) -> tuple[list[str], list[list]]:
    """Header and a row for each value that differs, a column for each group."""
    groups = found.groups[:COLUMNS]
    rows = [
        [key, *(_common(key, group) for group in groups)] for key in found.differences
    ]
    return ['what', *(group.name for group in groups)], rows


def group_of(found: Comparison, run: Record) -> Group:
    """The group of a run."""
    return next(group for group in found.groups if run in group.runs)


def _common(key: str, group: Group) -> str:
    """What the runs of a group have for a value, each once."""
    values = dict.fromkeys(written(run.config.get(key)) for run in group.runs)
    return ', '.join(values)


def _tables(found: Comparison) -> list[Block]:
    header, rows = run_rows(found)
    blocks: list[Block] = [Table(header=header, rows=rows)]
    header, rows = group_rows(found)
    title = 'Groups: one config, several seeds'
    blocks += [Table(title=title, header=header, rows=rows)]
    best = found.groups[0]
    if best.mean is not None:
        spread = f' ± {shown(best.std)}' if best.std is not None else ''
        words = (
            f'Group {best.name} has the best mean: {shown(best.mean)}{spread} over '
            f'{len(best.values)} run{"s" if len(best.values) > 1 else ""}.'
        )
        blocks.insert(0, Text(text=words, tone='lead'))
    return [*blocks, Text(text=TEST, tone='quiet')]


def _curves(found: Comparison) -> list[Block]:
    """What was logged while they trained, a dash and colour for each group."""
    name = found.metric.partition('/')[2]
    figures = []
    for key in dict.fromkeys((f'val/{name}', 'val/loss', 'train/loss')):
        drawn = [
            (place, points(run, key))
            for place, group in enumerate(found.groups)
            for run in group.runs
        ]
        drawn = [(place, line) for place, line in drawn if line]
        if drawn:
            series = [place for place, _ in drawn]
            lines = [line for _, line in drawn]
            svg = line_chart(lines, f'{key} over steps', series=series)
            legend = [(found.groups[p].name, p % 6) for p in dict.fromkeys(series)]
            figures.append(Figure(title=key, svg=svg, legend=legend))
    return [Figures(figures=figures)] if figures else []


def _settings(found: Comparison) -> list[Block]:
    header, rows = difference_rows(found)
    if not rows:
        return [Text(text='All runs have the same config.')]
    blocks: list[Block] = [Table(header=header, rows=rows, mono=True)]
    if len(found.groups) > COLUMNS:
        words = f'Of {len(found.groups)} groups the best {COLUMNS} are shown.'
        blocks.append(Text(text=words, tone='quiet'))
    return blocks
