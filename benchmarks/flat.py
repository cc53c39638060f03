"""Memory of a long run with workers: `python -m benchmarks.flat`."""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import pathlib

from benchmarks.measure import markdown, setting
from trainer.data.images import Images


def flat(steps: int) -> list[list[str]]:
    """Memory of this process and its workers at tenths of so many steps, MiB."""
    data = Images(split='train', batch=64, cache=None, workers=2).open()
    rows = []
    with contextlib.closing(data.train_batches(0)) as batches:
        for step, _ in enumerate(itertools.islice(batches, steps + 1)):
            if step and step % (steps // 10) == 0:
                rows.append([f'{step:,}', f'{resident() / 2**20:,.0f}'])
    return rows


def resident() -> int:
    """Bytes that this process and its children hold of their own."""
    children = [child.pid for child in multiprocessing.active_children()]
    total = 0
    for pid in (os.getpid(), *children):
        lines = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
        total += sum(int(x.split()[1]) for x in lines if x.startswith('Pss:'))
    return 1024 * total


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('--steps', type=int, default=20_000)
    flags = flags.parse_args()
    print(setting())
    print(markdown(['step', 'MiB'], flat(flags.steps)))


if __name__ == '__main__':
    main()
