"""What belongs to a run and lies elsewhere: its seeds' runs, and what its data is."""

import shlex

from trainer import rundir
from trainer.report.blocks import (
    Block,
    Code,
    Facts,
    Figure,
    Figures,
    Link,
    Section,
    Table,
    Text,
)
from trainer.report.curves import points
from trainer.report.records import Record
from trainer.report.svg import line_chart


def seeds(record: Record) -> Section:
    """How each seed of a run with several stands, and their curves."""
    blocks: list[Block] = []
    if record.seeds:
        key = record.seeds[0].metric
        header = ['run', 'status', 'step', f'best {key}']
        rows = [
            [
                _page_of(one),
                one.standing.status,
                one.standing.step,
                one.best.get(key),
            ]
            for one in record.seeds
        ]
        blocks.append(Table(header=header, rows=rows))
        lines = [(one.directory.name, points(one, key)) for one in record.seeds]
        lines = [(name, line) for name, line in lines if line]
        if lines:
            drawn = line_chart([line for _, line in lines], f'{key} over steps')
            legend = [(name, index) for index, (name, _) in enumerate(lines)]
            figures = [Figure(title=key, svg=drawn, legend=legend)]
            blocks.append(Figures(figures=figures))
    return Section(anchor='seeds', title='Seeds', blocks=blocks)


def _page_of(one: Record) -> Link | str:
    """The name of a seed's directory, beside this page, leading to its own."""
    name = one.directory.name
    has_page = (one.directory / rundir.REPORT).exists()
    return Link(name, f'{name}/{rundir.REPORT}') if has_page else name


def data(record: Record) -> Section:
    """What was trained and scored on, in short, and where more is said."""
    rows = [
        (f'{role} examples', count)
        for role, count in record.facts.get('examples', {}).items()
    ]
    blocks: list[Block] = []
    if record.facts.get('data'):
        blocks.append(Text(text=record.facts['data']))
    if rows:
        blocks.append(Facts(rows=rows))
    left_out = record.directory / rundir.LEFT_OUT
    if left_out.exists():
        words = f'Some examples were left out; {left_out} names them.'
        blocks.append(Text(text=words, tone='warn'))
    config = shlex.quote(str(record.directory / rundir.CONFIG_GIN))
    command = f'python main.py data --gin_file={config}'
    blocks.append(Code(title='A page on the data', text=command))
    return Section(anchor='data', title='Data', blocks=blocks)
