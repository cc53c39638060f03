"""The first start of a config beside its second: `python -m benchmarks.start`.

Each round has a compile cache of its own, empty at the first start.
The run is as short as can be; CPU seconds are those of the whole process.
"""

import argparse
import re
import sys
import tempfile

from benchmarks.measure import alternate, cost, markdown, ratio, setting, spread


def main() -> None:
    """Measures both starts in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--gin_file', default='configs/resnet18.gin')
    parser.add_argument('--rounds', type=int, default=3)
    flags = parser.parse_args()
    given = alternate({'pair': lambda: pair(flags.gin_file)}, flags.rounds)['pair']
    first, second = zip(*given, strict=True)
    rows = []
    for place, what in enumerate(['seconds to the first step', 'CPU seconds']):
        sides = [[side[place] for side in start] for start in (second, first)]
        rows.append([what, spread(sides[1]), spread(sides[0]), ratio(*sides)])
    print(f'{setting()}; {flags.gin_file}\n')
    print(markdown(['what', 'first start', 'second start', 'second / first'], rows))


def pair(config: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """(seconds to the first step, CPU seconds) of a first and of a second start."""
    with tempfile.TemporaryDirectory() as place:
        return tuple(start(config, place, f'{place}/{name}') for name in 'ab')


def start(config: str, cache: str, workdir: str) -> tuple[float, float]:
    """One short run."""
    command = [sys.executable, 'main.py', f'--gin_file={config}', '--gin.EPOCHS=0.1']
    spent = cost([*command, f'--workdir={workdir}'], env={'JUNIPER_CACHE': cache})
    ready = re.search(r'ready in ([\d.]+) s', spent.output)
    return float(ready[1]), spent.cpu_seconds


if __name__ == '__main__':
    main()
