"""One train step beside PyTorch, a line a net: `python -m benchmarks.train_step`.

Forward, backward and AdamW in float32 on this machine's CPU, all cores for both. Each
side has a process of its own, and they take turns, so that a machine busy with other
work slows both alike; what counts is the ratio. What goes on is told on stderr.
"""

import argparse
import json
import os
import platform
import queue
import statistics
import subprocess
import sys
import threading
import time

from benchmarks.measure import chosen
from benchmarks.step_sides import VARIANTS

# name -> (model, height and width, channels, batch)
ROWS = {
    'mlp@32': ('mlp', 32, 3, 128),
    'mlp@224': ('mlp', 224, 3, 32),
    'vit_ti4@32': ('vit_ti4', 32, 3, 16),
    'vit_ti16@224': ('vit_ti16', 224, 3, 8),
    'resnet18@8': ('resnet18', 8, 1, 128),
    'resnet18@32': ('resnet18', 32, 3, 16),
    'resnet18@224': ('resnet18_imagenet', 224, 3, 8),
    'unet@32': ('unet', 32, 3, 32),
    'unet@224': ('unet', 224, 3, 2),
}
BESIDE = {'channels_last': 'channels_last', 'compile': 'torch.compile'}
FASTER = 'times as fast'
HEADER = ['net', 'images', 'juniper, ms', 'torch eager, ms', FASTER, 'of CPU time']
HEADER += [cell for name in BESIDE.values() for cell in (f'{name}, ms', FASTER)]
HEADER += ['quickest torch, ms', FASTER]


class Side:
    """A process that trains a step when told; left without an answer, it is ended."""

    def __init__(
        self,
        python: str,
        side: str,
        row: tuple,
        patience: float,
        module: str = 'benchmarks.step_sides',
    ):
        self.process = subprocess.Popen(
            [python, '-m', module, side, *map(str, row)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.side, self.patience, self.answers = side, patience, queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def steps(self, variant: str, count: int):
        """What the side measured; of `step_sides` `[[wall, cpu], ...]` in ms.

        Raises:
          RuntimeError: none came in time.
        """
        try:
            print(variant, count, file=self.process.stdin, flush=True)
            answer = self.answers.get(timeout=self.patience)
        except (OSError, queue.Empty) as error:
            raise RuntimeError(f'{self.side} said nothing ({error!r})') from error
        if answer is None:
            raise RuntimeError(f'{self.side} ended with code {self.process.wait()}')
        return answer

    def close(self):
        self.process.kill()
        self.process.wait()


def measured(row: tuple, flags) -> dict[tuple[str, str], list[list[float]]]:
    """Milliseconds of every step of each variant of each side, taking turns.

    Raises:
      RuntimeError: a side ended, or did not answer in time.
    """
    pythons = {'juniper': sys.executable, 'torch': flags.peer_python}
    sides = {
        name: Side(python, name, row, flags.patience)
        for name, python in pythons.items()
    }
    turns = [
        (side, variant)
        for side in sides
        for variant in VARIANTS[side]
        if flags.compile or 'compile' not in variant
    ]
    if flags.eager_only:
        turns = [(side, VARIANTS[side][0]) for side in sides]
    try:
        times = {turn: [] for turn in turns}
        for number in range(1 + flags.rounds):
            for side, variant in turns:
                spent = sides[side].steps(variant, flags.steps if number else 1)
                times[side, variant] += spent if number else []  # the first one warms
            progress('.')
        return times
    finally:
        for side in sides.values():
            side.close()


def line(name: str, row: tuple, times: dict) -> str:
    """A row of the table: medians (quartiles), and how often ours fits into theirs."""
    ours, eager, *_ = (walls(spent) for spent in times.values())
    computed = [statistics.median(cpu for _, cpu in spent) for spent in times.values()]
    _, *theirs = times
    quickest = min(theirs, key=lambda turn: statistics.median(walls(times[turn])))
    best = walls(times[quickest])
    _, size, channels, batch = row

    def faster(theirs):
        return f'{statistics.median(theirs) / statistics.median(ours):.2f}'

    cells = [name, f'{batch} x {size}x{size}x{channels}', spread(ours)]
    cells += [spread(eager), faster(eager), f'{computed[1] / computed[0]:.2f}']
    for variant in BESIDE:
        spent = walls(times.get(('torch', variant), []))
        cells += [spread(spent), faster(spent)] if spent else ['left out', '']
    cells += [f'{statistics.median(best):.1f} ({quickest[1]})', faster(best)]
    return table_row(cells)


def table_row(cells: list[str]) -> str:
    return f'| {" | ".join(cells)} |'


def walls(spent: list[list[float]]) -> list[float]:
    return [wall for wall, _ in spent]


def spread(values: list[float]) -> str:
    """'12.3 (11.9-13.0)': the median and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f'{middle:.1f} ({low:.1f}-{high:.1f})'


def progress(text: str):
    print(text, end='', file=sys.stderr, flush=True)


def processor() -> str:
    """The processor's name and number of cores."""
    name = platform.processor() or platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo') as info:
            names = [line for line in info if line.startswith('model name')]
        name = names[0].split(':')[1].strip() if names else name
    return f'{name}, {os.cpu_count()} cores'


def arguments(given=None):
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('rows', nargs='*', default=['*'], help='such as "vit*"; all')
    flags.add_argument('--rounds', type=int, default=10, help='turns of each side')
    flags.add_argument('--steps', type=int, default=2, help='of a side in one turn')
    flags.add_argument('--eager-only', action='store_true', help='no other torch')
    flags.add_argument('--compile', action='store_true', help='torch.compile too')
    flags.add_argument('--peer-python', default=sys.executable, help='one with torch')
    flags.add_argument('--patience', type=float, default=300, help='seconds for a turn')
    return flags.parse_args(given)


def main(given=None):
    flags = arguments(given)
    names = chosen(ROWS, flags.rows)
    if not names or flags.rounds * flags.steps < 2:
        sys.exit(f'Name rows of {", ".join(ROWS)}, and at least two steps.')
    rule = '|---' * len(HEADER) + '|'
    print(f'float32, {processor()}', table_row(HEADER), rule, sep='\n', flush=True)
    for name in names:
        start = time.perf_counter()
        progress(f'{name} ')
        try:
            print(line(name, ROWS[name], measured(ROWS[name], flags)), flush=True)
        except RuntimeError as error:
            print(f'| {name} | not measured: {error} |', flush=True)
        progress(f' {time.perf_counter() - start:.0f} s\n')


if __name__ == '__main__':
    main()
