"""Splits that a data set comes in and that a run never reads; each with its remedy.

Knows what is described and opened, and reads nothing.
"""

from collections.abc import Iterator, Mapping

from trainer.data.dataset import Dataset
from trainer.data.splits import named

MEANT_FOR = {'val': 'eval', 'test': 'test'}  # by split


def unread(datasets: Mapping[str, Dataset]) -> Iterator[str]:
    """A line for each split that is there to be scored and is not, or none.

    Silent of a role whose examples come from elsewhere than those of training.

    Args:
      datasets: opened, by role: 'train', 'eval', 'test' and others.
    """
    train = datasets['train']
    sizes = train.source.own_splits
    if not sizes:
        return
    splits = {
        role: dataset.images.split
        for role, dataset in datasets.items()
        if dataset.images.origin == train.images.origin
    }
    read = set().union(*(named(split, sizes) for split in splits.values()))
    what = train.source.name.removesuffix(f' [{train.images.split}]')
    for split, role in MEANT_FOR.items():
        elsewhere = role in datasets and role not in splits
        if split in sizes and split not in read and not elsewhere:
            instead = f' ({role} reads {splits[role]!r})' if role in splits else ''
            yield (
                f'{what}: nothing reads the {sizes[split]:,} pictures of its split '
                f'{split!r}{instead}: set {_bindings(split, role, splits, sizes)}'
            )


def _bindings(split: str, role: str, splits: Mapping, sizes: Mapping) -> str:
    """What makes a role read a split; training takes back what was cut off for it."""
    found = [f"{role}/Images.split = '{split}'"]
    if role not in splits:
        found.insert(0, f'Experiment.{role}_data = @{role}/Images()')
    elif named(splits[role], sizes) == {'train'} and splits['train'] != 'train':
        found.append("train/Images.split = 'train'")
    return ' and '.join(found)
