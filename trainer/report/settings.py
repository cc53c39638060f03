"""The config of a run: every value, where it comes from, and what was changed."""

from trainer.report.blocks import Block, Section, Table, Text
from trainer.report.records import Record

BASE = 'configs/base.gin'
MISSING = object()


def section(record: Record) -> Section:
    """What differs from the defaults, and the whole config folded."""
    config, origins = record.config, record.origins
    changed = changes(record)
    blocks: list[Block] = []
    if origins:
        words = (
            f'{len(changed)} of {len(config)} values differ from what they would be '
            f'with {BASE} alone.'
        )
        header = ['what', 'value', 'would be', 'said in']
        blocks = [
            Text(text=words),
            Table(header=header, rows=changed, mono=True, title='What was changed'),
        ]
    rows = [
        [key, written(value), origins.get(key, 'default')]
        for key, value in config.items()
    ]
    title = f'The whole config, {len(rows)} values'
    header = ['what', 'value', 'from']
    blocks.append(Table(title=title, header=header, rows=rows, fold=True, mono=True))
    return Section(anchor='config', title='Config', blocks=blocks)


def changes(record: Record) -> list[list[str]]:
    """Rows of what differs from the defaults: key, value, default, place."""
    rows = []
    for key, value in record.config.items():
        default = record.defaults.get(key, MISSING)
        place = record.origins.get(key)
        if place is None or value == default:
            continue
        would = '–' if default is MISSING else written(default)
        rows.append([key, written(value), would, place])
    return rows


def written(value: object) -> str:
    """A value as gin has it."""
    return value if isinstance(value, str) and value[:1] in '@%' else repr(value)
