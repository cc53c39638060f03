"""What a run has cost: its time by what it went to, its speed, its memory."""

import statistics

from markupsafe import Markup

from trainer.footprint import peak_flops
from trainer.report.blocks import Block, Facts, Figure, Figures, Section, Table
from trainer.report.curves import points
from trainer.report.page import shown
from trainer.report.records import Record
from trainer.report.svg import drawing, line_chart, tag, text
from trainer.screen import format_seconds

ORDER = (
    'import',
    'data',
    'init',
    'trace',
    'compile',
    'first step',
    'input',
    'steps',
    'evaluation',
    'checkpoint',
    'pictures',
    'other',
)
MEANING = {
    'import': 'loading Python and its libraries',
    'data': 'opening the data',
    'init': 'making or restoring the state',
    'trace': 'waiting for the train step to be traced',
    'compile': 'compiling what was not ready yet',
    'input': 'waiting for batches, the first one too',
    'steps': 'training steps and all between them',
    'evaluation': 'scoring',
    'checkpoint': 'saving, as far as the loop waits for it',
    'pictures': 'drawing examples',
    'other': 'start-up that is none of these',
}
ROW, NAME = 22, 76


def section(record: Record) -> Section:
    """The time split, throughput, utilisation and memory."""
    blocks: list[Block] = []
    split = seconds_of(record)
    if split:
        figure = Figure(title='Where the time went', svg=bars(split))
        blocks.append(Figures(figures=[figure], wide=True))
    figures = [*speed(record)]
    if figures:
        blocks.append(Figures(figures=figures))
    rows = facts(record)
    if rows:
        blocks.append(Facts(rows=rows))
    if split:
        total = sum(split.values())
        rows = [
            [name, round(s, 2), f'{s / total:.1%}', MEANING.get(name)]
            for name, s in split.items()
        ]
        header = ['phase', 'seconds', 'share', 'what']
        title = f'{format_seconds(total)} in all'
        blocks.append(Table(title=title, header=header, rows=rows, fold=True))
    return Section(anchor='cost', title='Time and memory', blocks=blocks)


def seconds_of(record: Record) -> dict[str, float]:
    """Seconds of each phase, over all starts."""
    found: dict[str, float] = {}
    for start in record.times:
        for name, seconds in start['seconds'].items():
            found[name] = found.get(name, 0.0) + seconds
    order = {name: place for place, name in enumerate(ORDER)}
    names = sorted(found, key=lambda name: order.get(name, len(order)))
    return {name: found[name] for name in names}


def bars(split: dict[str, float]) -> Markup:
    """A bar for each phase, with its seconds and share."""
    total, longest = sum(split.values()) or 1.0, max(split.values()) or 1.0
    width, parts = 360, []
    for row, (name, seconds) in enumerate(split.items()):
        y = row * ROW
        parts.append(text(NAME - 8, y + 15, name, text_anchor='end'))
        length = max((width - NAME - 100) * seconds / longest, 1)
        size = {'width': length, 'height': ROW - 8, 'rx': 2}
        parts.append(tag('rect', x=NAME, y=y + 4, **size, class_='f0'))
        words = f'{format_seconds(float(seconds))}, {seconds / total:.1%}'
        parts.append(text(NAME + length + 6, y + 15, words, class_='ink'))
    return drawing(
        parts, 'seconds of each phase', width, len(split) * ROW + 4, most=1.5
    )


def speed(record: Record) -> list[Figure]:
    """Throughput over the run, and the share of time spent waiting for data."""
    titles = {
        'perf/images_per_second': 'images a second',
        'perf/input_wait': 'share of time spent waiting for batches',
    }
    return [
        Figure(title=title, svg=line_chart([line], f'{title} over steps'))
        for key, title in titles.items()
        if (line := points(record, key))
    ]


def facts(record: Record) -> list[tuple[str, object]]:
    """Throughput, utilisation and memory in numbers."""
    known, rows = record.facts, []
    rates = sorted(y for _, y in points(record, 'perf/images_per_second'))
    if rates:
        median = rates[len(rates) // 2]
        rows.append(('throughput', f'{shown(median)} images a second (median)'))
    steps = points(record, 'perf/step_ms_p50'), points(record, 'perf/step_ms_p95')
    if all(steps):
        middle, slow = (shown(statistics.median(y for _, y in line)) for line in steps)
        rows.append(('step time', f'{middle} ms (p50), {slow} ms (p95)'))
    if known.get('flops_per_step'):
        flops, batch = known['flops_per_step'], known['batch']
        rows.append(('a step', f'{shown(flops / 1e9)} GFLOP on each device'))
        if rates:
            rows += utilisation(known, flops * median / batch)
    if known.get('parameters'):
        rows.append(('parameters', f'{known["parameters"]:,}'))
    memory = known.get('memory', {})
    if memory.get('host'):
        rows.append(('memory of the process', f'{gib(memory["host"])} at the most'))
    if memory.get('device'):
        rows.append(('memory of a device', f'{gib(memory["device"])} at the most'))
    if known.get('step_bytes'):
        needs = f'{gib(known["step_bytes"])}, as the compiler counts'
        rows.append(('memory of a step', needs))
    if known.get('report'):
        rows.append(('this page', f'{known["report"]:.2f} s so far, in the background'))
    return rows


def utilisation(known: dict, rate: float) -> list[tuple[str, object]]:
    """Operations a second of a device, and their share of what it could do."""
    rows = [('each device does', f'{shown(rate / 1e9)} GFLOP/s')]
    peak = peak_flops(known['device'])
    if peak is None:
        why = f'not known: no peak is stated for {known["device"]!r}'
        return [*rows, ('MFU', why)]
    share = f'{rate / peak:.1%} of {peak / 1e12:,.0f} TFLOP/s (dense bfloat16)'
    return [*rows, ('MFU', share)]


def gib(size: float) -> str:
    """'1.25 GiB', '340 MiB', '12 KiB'."""
    if size < 2**20:
        return f'{size / 2**10:.0f} KiB'
    return f'{size / 2**30:.2f} GiB' if size >= 2**30 else f'{size / 2**20:.0f} MiB'
