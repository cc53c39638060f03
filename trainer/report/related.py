"""What belongs to a run and lies elsewhere: its seeds' runs, and what its data is."""

from trainer.report.blocks import Block, Facts, Figure, Figures, Section, Table, Text
from trainer.report.curves import points
from trainer.report.records import Record
from trainer.report.svg import line_chart

PAGES = ('data.html', 'data/report.html')


def seeds(record: Record) -> Section:
    """How each seed of a run with several stands, and their curves."""
    blocks: list[Block] = []
    if record.seeds:
        key = record.seeds[0].metric
        header = ['run', 'status', 'step', f'best {key}']
        rows = [
            [
                one.directory.name,
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
    for name in PAGES:
        if (record.directory / name).exists():
            words = f'A report of the data lies in {record.directory / name}.'
            blocks.append(Text(text=words))
    return Section(anchor='data', title='Data', blocks=blocks)
