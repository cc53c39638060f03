"""The main job, from start to exit, beside Lightning: `python -m benchmarks.main_job`.

Ten epochs of ResNet-18 on the digits, the same splits, steps and recipe: ours as a
user types it, with an empty compile cache and with a filled one, and Lightning with
torchmetrics (`lightning_digits.py`) in a Python of its own.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np

from benchmarks.measure import (
    alternate,
    cost,
    markdown,
    ratio,
    setting,
    spread,
)
from trainer.experiment import load

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIG = 'configs/resnet18.gin'
THEIRS = 'Lightning'
COLD, WARM = 'Juniper, cold cache', 'Juniper, warm cache'


class Runs:
    """The sides, each a function of nothing that makes one whole run.

    Args:
      place: an empty directory for all that they write.
      peer: Lightning's Python.
      epochs: of each run.
      peer_flags: for `lightning_digits.py`.
    """

    def __init__(self, place: pathlib.Path, peer: str, epochs: int, peer_flags=()):
        self.place, self.peer, self.epochs = place, peer, epochs
        self.peer_flags = list(peer_flags)
        self.digits = place / 'digits.npz'
        write_digits(self.digits)
        self.count = 0

    def fresh(self, name: str) -> pathlib.Path:
        """A directory that nothing was in before."""
        self.count += 1
        path = self.place / f'{name}_{self.count}'
        path.mkdir()
        return path

    def cold(self, module=('main.py',)):
        """Ours, with an empty compile cache, which `warm` then finds filled."""
        self.cache = self.fresh('cache')
        return self.warm(module)

    def warm(self, module=('main.py',)):
        """Ours, with the compile cache of the run before."""
        workdir = self.fresh('ours') / 'run'
        flags = [f'--gin_file={CONFIG}', f'--gin.EPOCHS={self.epochs}']
        command = [sys.executable, *module, *flags, f'--workdir={workdir}']
        return cost(command, env={'JUNIPER_CACHE': str(self.cache)}, cwd=ROOT)

    def theirs(self):
        """Lightning's."""
        module = ['-m', 'benchmarks.lightning_digits', '--digits', str(self.digits)]
        flags = ['--epochs', str(self.epochs), '--workdir', str(self.fresh('theirs'))]
        command = [self.peer, *module, *flags, *self.peer_flags]
        return cost(command, env={}, cwd=ROOT)

    def accuracy(self, name: str) -> list[float]:
        """Test accuracy of every run of a side."""
        results = self.place.glob(f'{name}_*/**/results.json')
        return [json.loads(path.read_text())['test/acc_top1'] for path in results]


def write_digits(path: pathlib.Path) -> None:
    """The splits of our config as arrays, for whoever cannot read a TFDS data set."""
    experiment = load([str(ROOT / CONFIG)])
    arrays = {}
    for split in ('train', 'eval', 'test'):
        data = getattr(experiment, f'{split}_data').open()
        examples = [data[index] for index in range(len(data))]
        arrays[f'{split}_image'] = np.stack([e['image'] for e in examples])
        arrays[f'{split}_label'] = np.array([e['label'] for e in examples])
    np.savez(path, **arrays)


def report(costs: dict, runs: Runs) -> None:
    """Seconds and CPU seconds of each side, and its ratio to Lightning's."""
    theirs = costs[THEIRS]
    rows = [
        [
            name,
            spread([c.seconds for c in side]),
            ratio([c.seconds for c in side], [c.seconds for c in theirs]),
            spread([c.cpu_seconds for c in side]),
            ratio([c.cpu_seconds for c in side], [c.cpu_seconds for c in theirs]),
            f'{max(c.peak_bytes for c in side) / 2**20:,.0f}',
        ]
        for name, side in costs.items()
    ]
    header = ['side', 'seconds', 'ratio', 'CPU seconds', 'ratio', 'peak MiB']
    print(markdown(header, rows))
    for name in ('ours', 'theirs'):
        print(f'test accuracy, {name}: {spread(runs.accuracy(name), 4)}')


def report_parts(runs: Runs) -> None:
    """Where each second of one cold and one warm run of ours goes."""
    module = ('-m', 'benchmarks.parts')
    sides = {COLD: runs.cold(module), WARM: runs.warm(module)}
    parts = {}
    for name, spent in sides.items():
        parts[name] = json.loads(spent.output.splitlines()[-1])
        inside = sum(parts[name].values())
        parts[name]['interpreter and exit'] = spent.seconds - inside
        parts[name]['all'] = spent.seconds
    rows = [
        [part, *(f'{parts[name].get(part, 0):.2f}' for name in sides)]
        for part in parts[COLD]
    ]
    print(markdown(['part', *sides], rows))


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('--peer-python', help="Lightning's; without, ours alone")
    flags.add_argument('--peer-fused', action='store_true', help='AdamW in one kernel')
    flags.add_argument('--repeats', type=int, default=5)
    flags.add_argument('--epochs', type=int, default=10)
    flags = flags.parse_args()
    with tempfile.TemporaryDirectory() as place:
        fused = ['--fused'] if flags.peer_fused else []
        runs = Runs(pathlib.Path(place), flags.peer_python, flags.epochs, fused)
        sides = {COLD: runs.cold, WARM: runs.warm}
        if flags.peer_python:
            sides = {THEIRS: runs.theirs, **sides}
        alternate(sides, 1)  # so that files and byte code are in memory for all
        costs = alternate(sides, flags.repeats)
        print(setting())
        if flags.peer_python:
            report(costs, runs)
        report_parts(runs)


if __name__ == '__main__':
    main()
