"""The card of a published model: what a stranger must know to use it, from the run.

Markdown made of facts alone; what nobody said is said to be unknown.
"""

import json
import pathlib
import shlex
from collections.abc import Iterable, Sequence

import numpy as np

from trainer import files, overview, provenance, rundir
from trainer.predict import Predictor
from trainer.results import is_part, part_names

WORST = 3  # classes that the limits name
NAMED = 100  # classes that the card names; the rest is in the files


def card(facts: dict, directory: pathlib.Path, predictor: Predictor) -> str:
    """The whole card.

    Args:
      facts: what `published.json` says.
      directory: the version's, with the files of the run.
      predictor: the published net.
    """
    title = f'{facts["name"]} {facts["version"]}'
    sections = {
        'What it is': _identity(facts, predictor),
        'How to load it': _loading(facts, predictor),
        'Preprocessing': _preprocessing(predictor),
        'Data': _data(facts, directory, predictor),
        'Scores': _scores(facts, directory, predictor),
        'Limits': _limits(facts, directory, predictor),
        'Where it comes from': _origin(facts, directory),
        'Config': f'```\n{(directory / rundir.CONFIG_GIN).read_text().strip()}\n```',
    }
    body = '\n\n'.join(f'## {name}\n\n{text}' for name, text in sections.items())
    note = f'{facts["note"]}\n\n' if facts['note'] else ''
    return f'# {title}\n\n{note}{body}\n'


def _identity(facts: dict, predictor: Predictor) -> str:
    job = predictor.job
    config = job.experiment.model
    parts = getattr(config, 'keywords', {})
    parts = [getattr(parts.get(key), 'func', parts.get(key)) for key in _PARTS]
    named = ' and '.join(getattr(part, '__name__', str(part)) for part in parts if part)
    return _table(
        ['', ''],
        [
            ['task', facts['task']],
            ['net', named or getattr(config, '__name__', str(config))],
            ['parameters', f'{overview.parameter_count(job):,}'],
            ['checkpoint', f'step {facts["step"]} of the run {facts["run"]}'],
            ['published', f'{facts["published"]} by Juniper {facts["juniper"]}'],
        ],
    )


_PARTS = ('backbone', 'head')


def _loading(facts: dict, predictor: Predictor) -> str:
    name, version = facts['name'], facts['version']
    shape = ', '.join(map(str, predictor.data.image_shape))
    return (
        f'```\npython main.py predict photos/ --model={name}@{version}\n```\n\n'
        f'```python\nfrom trainer import registry\n\n'
        f'model = registry.load({name!r}, {version!r})\n'
        f'answers = model(images)  # [B, {shape}]\n```\n\n'
        f'`Net.pretrained = {name + "@" + version!r}` begins a run with its weights.'
    )


def _preprocessing(predictor: Predictor) -> str:
    data = predictor.images
    mean, std = (
        [f'{float(value):.6g}' for value in np.ravel(part)]
        for part in predictor.normalisation
    )
    shape = ' x '.join(map(str, predictor.data.image_shape))
    transforms = ', '.join(map(str, data.transforms)) or 'none but a resize to it'
    return (
        f'Done by all ways above: to {shape} (transforms: {transforms}), to [0, 1], '
        f'minus the mean {", ".join(mean)}, divided by {", ".join(std)}.'
    )


def _data(facts: dict, directory: pathlib.Path, predictor: Predictor) -> str:
    config, data = rundir.config(directory), predictor.data
    fingerprints = (provenance.attempts(directory) or [{}])[-1].get('data', {})
    rows = [
        [role, _where(config, role), fingerprints.get(role, 'unknown')[:16]]
        for role in ('train', 'eval', 'test')
        if config.get(f'{role}_data')
    ]
    lines = [_table(['set', 'what', 'fingerprint'], rows)]
    lines += [f'{data.num_examples:,} examples were learnt from.']
    for kind, names in part_names(data).items():
        if names:
            more = f' and {len(names) - NAMED} more' if len(names) > NAMED else ''
            listed = ', '.join(map(str, names[:NAMED]))
            lines.append(f'{len(names)} names of each {kind}: {listed}{more}.')
    lines.append(f'Licence of the data: {facts["licence"] or "not given"}.')
    return '\n\n'.join(lines)


def _where(config: dict, role: str) -> str:
    """What a config says of a data set that says which one it is."""
    keys = ('name', 'source', 'folder', 'split')
    said = {key: config.get(f'{role}_data.{key}') for key in keys}
    return ', '.join(f'{key} {value}' for key, value in said.items() if value)


def _scores(facts: dict, directory: pathlib.Path, predictor: Predictor) -> str:
    scores = facts['scores']
    overall = [[key, _number(scores[key])] for key in scores if not is_part(key)]
    if not overall:
        return 'None: this checkpoint was not evaluated.'
    by = f'Chosen by {facts["metric"]}. ' if facts['metric'] else ''
    lines = [f'{by}Seed {rundir.config(directory).get("seed")}; one run.']
    lines.append(_table(['score', 'value'], overall))
    for kind, names in part_names(predictor.data).items():
        lines += _parts(scores, kind, names)
    return '\n\n'.join(lines)


def _parts(scores: dict, kind: str, names: Sequence[str]) -> list[str]:
    """A table of what was scored of each class; none where nothing was."""
    end = f'_{kind}_0'
    columns = [key.removesuffix(end) for key in scores if key.endswith(end)]
    rows = [
        [name, *(_number(scores.get(f'{c}_{kind}_{index}')) for c in columns)]
        for index, name in enumerate(names)
    ]
    return [_table([kind, *columns], rows)] if columns else []


def _limits(facts: dict, directory: pathlib.Path, predictor: Predictor) -> str:
    lines = [
        'The scores are those of data like the data above; of other data nothing was '
        'measured.',
        'One seed was published: how much another one would differ is not in them.',
    ]
    worst = _worst(facts['scores'], predictor)
    if worst:
        lines.append(f'Weakest: {worst}.')
    left_out = directory / rundir.LEFT_OUT
    for role, named in (files.read_json(left_out) if left_out.exists() else {}).items():
        lines.append(f'{len(named)} of {role} could not be read and were left out.')
    if any(facts['scores'].get(key) is not None for key in _tests(facts)):
        return _list(lines)
    return _list([*lines, 'No test data was scored.'])


def _tests(facts: dict) -> list[str]:
    return [key for key in facts['scores'] if key.startswith('test/')]


def _worst(scores: dict, predictor: Predictor) -> str:
    """The classes that were found least often, by the first score of classes."""
    names = part_names(predictor.data)['class']
    keys = [key for key in scores if key.endswith('_class_0')]
    if not keys:
        return ''
    stem = next((k for k in keys if k.startswith('test/')), keys[0])[:-1]
    found = [(scores.get(f'{stem}{i}'), name) for i, name in enumerate(names)]
    ranked = sorted((value, name) for value, name in found if value is not None)
    said = ', '.join(f'{name} ({value:.4g})' for value, name in ranked[:WORST])
    return f'{said}, by {stem.removesuffix("_class_")}' if said else ''


def _origin(facts: dict, directory: pathlib.Path) -> str:
    rows = []
    for start in provenance.attempts(directory):
        git = start.get('git') or {}
        dirty = ' with changes' if git.get('dirty') else ''
        rows.append(['started', start['started']])
        rows.append(['command', f'`python {start["command"]}`'])
        rows.append(['commit', f'{git["commit"]}{dirty}' if git else 'unknown'])
        rows.append(['seed', start['seed']])
        devices = ', '.join(f'{n} x {kind}' for kind, n in start['devices'].items())
        rows.append(['devices', devices])
    last = (provenance.attempts(directory) or [{}])[-1]
    libraries = last.get('libraries', {}).items()
    rows.append(['libraries', ', '.join(f'{name} {v}' for name, v in libraries)])
    again = f'{shlex.quote(str(rundir.CONFIG_GIN))} here replays the run.'
    return f'{_table(["", ""], rows)}\n\n{again}'


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(map(_cell, line))} |' for line in lines)


def _list(lines: Iterable[str]) -> str:
    return '\n'.join(f'- {line}' for line in lines)


def _cell(value: object) -> str:
    return ' '.join(str(value).replace('|', r'\|').split())


def _number(value: float | None) -> str:
    return 'no data' if value is None else json.dumps(round(value, 6))
