"""What came out of a run, in the first screen of its page, and how to do it again."""

import math
import shlex
import statistics

from trainer import mirror, rundir
from trainer.report.blocks import Block, Code, Facts, Section, Table, Text, Tiles
from trainer.report.page import shown
from trainer.report.records import Record
from trainer.report.siblings import seed_scores
from trainer.results import is_part
from trainer.run_list import said
from trainer.screen import format_seconds

TONES = {'running': 'live', 'finished': 'good', 'failed': 'bad', 'crashed': 'bad'}
Z = 1.959964  # two-sided 95 % of a normal distribution


def badge(record: Record) -> tuple[str, str]:
    """How the run stands, and its tone."""
    return said(record.standing), TONES.get(record.standing.status, 'warn')


def verdict(record: Record) -> Section:
    """The best score, where it was, how long it took and how sure it is."""
    blocks: list[Block] = [Text(text=sentence(record), tone='lead')]
    tiles = [*score_tiles(record), *run_tiles(record)]
    if tiles:
        blocks.append(Tiles(tiles=tiles))
    blocks += sureness(record)
    if record.failure:
        last = record.failure.splitlines()[-1]
        blocks.insert(1, Text(text=f'The run failed: {last}', tone='warn'))
    return Section(anchor='verdict', title='Verdict', blocks=blocks)


def sentence(record: Record) -> str:
    """The verdict in words."""
    one, best = record.standing, record.best
    if record.seeds:
        ready = sum(bool(seed.results) for seed in record.seeds)
        return f'{ready} of {len(record.seeds)} seeds are finished.'
    if not best:
        return 'There is no evaluation yet.'
    words = (
        f'The best {record.metric} is {shown(best[record.metric])}, at step '
        f'{best["step"]:,} (epoch {shown(best["epoch"])})'
    )
    if one.total_steps:
        words += f' of {one.total_steps:,}'
    last = record.evaluations[-1]
    later = sum(row['step'] > best['step'] for row in record.evaluations)
    if later:
        words += (
            f'; {later} later evaluation{"s were" if later > 1 else " was"} no better, '
            f'the last {shown(last.get(record.metric))}'
        )
    return f'{words}.'


def score_tiles(record: Record) -> list[tuple[str, str, str]]:
    """The scores of the test data, else those of the best evaluation."""
    role = 'test/' if any(k.startswith('test/') for k in record.scores) else 'val/'
    scores = {k: v for k, v in record.scores.items() if k.startswith(role)}
    main = record.metric.partition('/')[2]
    order = sorted(scores, key=lambda k: k.partition('/')[2] != main)
    tiles = []
    for key in order[:4] if not record.seeds else ():
        note = 'of the best checkpoint'
        count = record.facts.get('examples', {}).get(role.strip('/'))
        if '/acc_top' in key and count and scores[key] is not None:
            low, high = wilson(scores[key], count)
            note = f'95 % interval {low:.3f} to {high:.3f}, {count:,} examples'
        tiles.append((key, shown(scores[key]), note))
    means = [key.removesuffix('/mean') for key in order if key.endswith('/mean')]
    for name in [n for n in means if record.seeds and not is_part(n)][:4]:
        value = f'{shown(scores[f"{name}/mean"])} ± {shown(scores.get(f"{name}/std"))}'
        tiles.append((name, value, f'mean and std over {len(record.seeds)} seeds'))
    return tiles


def run_tiles(record: Record) -> list[tuple[str, str, str]]:
    """How far and how long."""
    one, tiles = record.standing, []
    if one.step is not None:
        total = f'of {one.total_steps:,}' if one.total_steps else ''
        tiles.append(('steps', f'{one.step:,}', total))
    seconds = sum(sum(start['seconds'].values()) for start in record.times)
    if seconds:
        starts = len(record.times)
        note = 'in one go' if starts == 1 else f'in {starts} starts'
        tiles.append(('took', format_seconds(seconds), note))
    return tiles


def sureness(record: Record) -> list[Block]:
    """How much the seed matters, as far as runs that differ in nothing else say."""
    scores, where = seed_scores(record)
    if len(scores) < 2:
        return [
            Text(
                text='One seed says nothing of how much the score depends on luck: '
                'set Experiment.seeds = (0, 1, 2) for a mean with its spread.',
                tone='quiet',
            )
        ]
    key = record.metric if record.metric in next(iter(scores.values())) else None
    keys = dict.fromkeys(k for row in scores.values() for k in row)
    rows = []
    for name in sorted(keys, key=lambda k: (k != key, not k.startswith('test/'))):
        values = [row[name] for row in scores.values() if row.get(name) is not None]
        if len(values) > 1:
            spread = statistics.stdev(values)
            ends = min(values), max(values)
            rows.append([name, statistics.fmean(values), spread, *ends, len(values)])
    header = ['score', 'mean', 'std', 'lowest', 'highest', 'seeds']
    return [Table(title=f'Over seeds ({where})', header=header, rows=rows)]


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of hits (Wilson 1927)."""
    centre = share + Z**2 / (2 * count)
    room = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    scale = 1 + Z**2 / count
    return max(0.0, (centre - room) / scale), min(1.0, (centre + room) / scale)


def commands(record: Record) -> Section:
    """What to type to have the run again, to go on with it and to use it."""
    place, main = shlex.quote(mirror.known_as(record.directory)), 'python main.py'
    blocks: list[Block] = []
    if record.starts:
        first = record.starts[0]
        lines = [f'cd {shlex.quote(first["directory"])}']
        commit = (first.get('git') or {}).get('commit')
        lines += [f'git checkout {commit}'] if commit else []
        lines.append(f'python {first["command"]}')
        blocks.append(Code(title='As it was started', text='\n'.join(lines)))
    config = shlex.quote(str(record.directory / rundir.CONFIG_GIN))
    again = f'{main} --gin_file={config} --workdir=NEW_DIRECTORY'
    blocks.append(Code(title='Reproduce, in a directory of its own', text=again))
    if record.standing.resumable:
        blocks.append(Code(title='Go on', text=f'{main} --workdir={place}'))
    if record.seeds:
        place = shlex.quote(str(record.seeds[0].directory))
    predict = f'{main} predict IMAGES --workdir={place}'
    blocks.append(Code(title='Predict', text=predict))
    score = f'{main} evaluate --workdir={place} --split=test'
    blocks.append(Code(title='Score again', text=score))
    return Section(anchor='commands', title='Commands', blocks=blocks)


def origin(record: Record) -> Section:
    """Where the run comes from: source, machine, libraries, data; each start."""
    if not record.starts:
        return Section(anchor='provenance', title='Provenance', blocks=[])
    last = record.starts[-1]
    git = last.get('git') or {}
    dirty = ' with uncommitted changes' if git.get('dirty') else ''
    devices = ', '.join(f'{n} x {kind}' for kind, n in last['devices'].items())
    rows = [
        ('commit', f'{git.get("commit") or "no git"}{dirty}'),
        ('Juniper', last['juniper']),
        ('seed', str(last['seed'])),
        ('devices', devices),
        ('machine', f'{last["host"]}, {last["platform"]}'),
        ('Python', last['python']),
        *((f'{role} data', print_) for role, print_ in last['data'].items()),
    ]
    libraries = ', '.join(f'{k} {v}' for k, v in last['libraries'].items())
    starts = [[one['started'], one['host'], one['command']] for one in record.starts]
    blocks = [
        Facts(rows=[*rows, ('libraries', libraries)]),
        Table(title='Starts', header=['when', 'host', 'command'], rows=starts),
    ]
    return Section(anchor='provenance', title='Provenance', blocks=blocks)


def trouble(record: Record) -> Section:
    """The traceback of a run that failed."""
    blocks = []
    if record.failure:
        blocks = [Code(title='The traceback, as in log.txt', text=record.failure)]
    return Section(anchor='failure', title='Failure', blocks=blocks)
