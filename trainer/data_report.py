"""What a config's data is like and what is wrong with it: facts by name, and as text.

Knows data sets; how a page shows the facts is `report/data_page.py`.
"""

import dataclasses
from collections.abc import Sequence

from trainer.class_weights import balanced_weights
from trainer.data import Dataset, defects
from trainer.data.inventory import count_classes, take_inventory
from trainer.data.unread import unread
from trainer.errors import UserError
from trainer.experiment import Experiment
from trainer.screen import tell
from trainer.tasks import multilabel

ODD, DUPLICATES = 'odd pictures', 'duplicates'
NAMED = 10  # of each kind of defect in the text; the JSON has all


def open_data(experiment: Experiment) -> tuple[dict[str, Dataset], list[str]]:
    """The data sets of a config by role, bad examples left out whatever it says.

    Returns:
      The data sets, and a line for each of those not trained on that cannot be opened.

    Raises:
      UserError: there is nothing to train on; as `Images.open`.
    """
    datasets, closed = {}, []
    for role, images in experiment.roles.items():
        try:
            datasets[role] = dataclasses.replace(images, on_error='skip').open()
        except UserError as error:
            if role == 'train':
                raise
            closed.append(f'{role} cannot be used: {error}')
    return datasets, closed


def examine(experiment: Experiment, datasets: dict, closed: Sequence[str]) -> dict:
    """Reads every example once; the facts of all data sets, as JSON has them.

    Args:
      experiment: whose data it is.
      datasets: by role, 'train' first.
      closed: what is said of those that cannot be opened.

    Returns:
      'splits', 'classes', 'imbalance', 'targets', 'remarks', 'problems', 'unreadable',
      'absent', 'odd', 'duplicates', 'same'; docs/data.md tells what each holds.
    """
    same, entries = _same(datasets), {}
    for role, dataset in datasets.items():
        if role not in same:
            tell(f'reading {len(dataset):,} examples of {dataset.source.name}')
            channels = dataset.image_shape[-1]
            entries[role] = take_inventory(dataset.source, channels)
    train = datasets['train']
    tallies = {role: count_classes(part) for role, part in entries.items()}
    side = min(train.image_shape[:2]) if len(train.image_shape) == 3 else None
    sources = [dataset.source for dataset in datasets.values()]
    return {
        'name': experiment.name,
        'splits': {
            role: _split(datasets[role], part) for role, part in entries.items()
        },
        'classes': {unit: _classes(train, tallies, unit) for unit in tallies['train']},
        'imbalance': {
            unit: defects.imbalance(counts) for unit, counts in tallies['train'].items()
        },
        'targets': _targets(train),
        'remarks': [*_unique(x for s in sources for x in s.remarks), *unread(datasets)],
        'problems': [*closed, *_unique(x for s in sources for x in s.problems)],
        'unreadable': defects.unreadable(entries),
        'absent': _absent(train, tallies),
        'odd': defects.odd(entries, side),
        'duplicates': defects.duplicates(entries),
        'same': same,
    }


def check_trainable(facts: dict) -> None:
    """Raises UserError where nothing is left to train on."""
    train = facts['splits']['train']
    if not train['readable']:
        raise UserError(f'{train["source"]} has no example that can be read.')
    rows = facts['classes'].get('examples', [])
    there = [row['name'] for row in rows if row['train']]
    if len(rows) > 1 and len(there) == 1:
        raise UserError(
            f'{train["source"]} has one class only that can be read, {there[0]}; a '
            f'classifier needs two. Mend the others.'
        )


def defect_count(facts: dict) -> int:
    """How many things a person should look at."""
    kinds = ('problems', 'unreadable', 'absent', 'odd', 'duplicates', 'remarks')
    return sum(len(facts[kind]) for kind in kinds)


def text(facts: dict) -> str:
    """The facts for a terminal: counts, then each kind of defect with its first ten."""
    lines = [f'{facts["name"]}: {defect_count(facts):,} things to look at']
    for role, split in facts['splits'].items():
        lines.append(
            f'  {role:<8} {split["readable"]:>9,} of {split["examples"]:,} examples '
            f'can be used: {split["source"]}'
        )
    for role, other in facts['same'].items():
        lines.append(f'  {role:<8} the same examples as {other}')
    for unit, rows in facts['classes'].items():
        lines += ['', *_class_lines(unit, rows, facts['imbalance'][unit])]
    for title, found in defect_lines(facts).items():
        if found:
            lines += ['', f'{title}: {len(found):,}']
            lines += [f'  {line}' for line in found[:NAMED]]
            more = len(found) - NAMED
            lines += [f'  and {more:,} more'] if more > 0 else []
    return '\n'.join(lines)


def defect_lines(facts: dict) -> dict[str, list[str]]:
    """The defects by kind, a line for each."""
    return {
        'cannot be read': [row['line'] for row in facts['unreadable']],
        'wrong labels and files': facts['problems'],
        'left out, and why': facts['remarks'],
        'classes without examples': [
            f'{row["class"]}: none in {row["split"]}' for row in facts['absent']
        ],
        ODD: [
            f'{row["name"]}: {", ".join(row["traits"])} '
            f'({row["width"]} x {row["height"]}, {row["split"]})'
            for row in facts['odd']
        ],
        DUPLICATES: [_duplicate(group) for group in facts['duplicates']],
    }


def _duplicate(group: dict) -> str:
    where = ['across splits'] * group['across_splits']
    where += ['across classes'] * group['across_classes']
    names = [f'{one["name"]} ({one["split"]})' for one in group['examples']]
    return f'{" and ".join(where) or "within a split"}: {" = ".join(names)}'


def _class_lines(unit: str, rows: list[dict], ratio: float | None) -> list[str]:
    roles = [key for key in rows[0] if key not in ('name', 'weight')] if rows else []
    width = max([len(row['name']) for row in rows] + [5])
    said = f', the commonest {ratio:.3g} times the rarest in train' if ratio else ''
    lines = [f'{unit} of each class{said}']
    head = ''.join(f'{role:>10}' for role in roles)
    lines.append(f'  {"class":<{width}}{head}  balanced weight')
    for row in rows:
        counts = ''.join(f'{row[role]:>10,}' for role in roles)
        weight = '-' if row['weight'] is None else f'{row["weight"]:.4g}'
        lines.append(f'  {row["name"]:<{width}}{counts}  {weight:>15}')
    return lines


def _same(datasets: dict[str, Dataset]) -> dict[str, str]:
    """Roles whose data is that of an earlier one, which need not be read twice."""
    first: dict[str, str] = {}
    for role, dataset in datasets.items():
        first.setdefault(dataset.fingerprint, role)
    found = {role: first[d.fingerprint] for role, d in datasets.items()}
    return {role: other for role, other in found.items() if role != other}


def _split(dataset: Dataset, entries) -> dict:
    return {
        'source': dataset.source.name,
        'examples': len(entries),
        'readable': sum(entry.problem is None for entry in entries),
        'image_shape': list(dataset.image_shape),
        'fingerprint': dataset.fingerprint,
    }


def _classes(train: Dataset, tallies: dict, unit: str) -> list[dict]:
    weights = _weights(train, unit)
    return [
        {
            'name': name,
            **{role: part.get(unit, {}).get(n, 0) for role, part in tallies.items()},
            'weight': weights[n] if weights else None,
        }
        for n, name in enumerate(_names(train, unit))
    ]


def _names(dataset: Dataset, unit: str) -> tuple[str, ...]:
    return dataset.segmentation_names if unit == 'pixels' else dataset.class_names


def _weights(train: Dataset, unit: str):
    """What 'balanced' gives in training: it counts files before it has read them."""
    if unit == 'pixels':
        return balanced_weights(train.pixel_counts())
    if unit == 'labels':
        return multilabel.balanced_weights(train.label_counts(), train.num_examples)
    return balanced_weights(train.label_counts()) if unit == 'examples' else None


def _targets(train: Dataset) -> list[dict]:
    if not train.target_statistics:
        return []
    rows = zip(train.target_names, *train.target_statistics, strict=True)
    return [{'name': name, 'mean': mean, 'std': std} for name, mean, std in rows]


def _absent(train: Dataset, tallies: dict) -> list[dict]:
    return [
        {'split': role, 'class': name}
        for role, part in tallies.items()
        for unit in tallies['train']
        for name in defects.absent(part.get(unit, {}), _names(train, unit))
    ]


def _unique(lines) -> list[str]:
    return list(dict.fromkeys(lines))
