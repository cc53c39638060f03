"""The first start of a config beside its second, and beside one that goes on.

`python -m benchmarks.start`. Each round has a compile cache of its own, empty at the
first start. A run is as short as can be; CPU seconds are those of the whole process.
"""

import argparse
import re
import sys
import tempfile

from benchmarks.measure import alternate, cost, markdown, ratio, setting, spread


def main() -> None:
    """Measures the starts in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--gin_file', default='configs/resnet18.gin')
    parser.add_argument('--rounds', type=int, default=3)
    flags = parser.parse_args()
    sides = {'starts': lambda: starts(flags.gin_file)}
    first, *others = zip(*alternate(sides, flags.rounds)['starts'], strict=True)
    rows = []
    for place, what in enumerate(['seconds to the first step', 'CPU seconds']):
        began, *then = ([side[place] for side in start] for start in (first, *others))
        rows.append([what, spread(began)])
        for side in then:
            rows[-1] += [spread(side), ratio(side, began)]
    print(f'{setting()}; {flags.gin_file}\n')
    print(markdown(['what', 'first', 'second', 'ratio', 'resumed', 'ratio'], rows))


def starts(config: str) -> tuple[tuple[float, float], ...]:
    """(seconds to the first step, CPU seconds) of a first, second and resumed start."""
    with tempfile.TemporaryDirectory() as place:
        first, second = f'{place}/a', f'{place}/b'
        told = (first, 0.1), (second, 0.1), (second, 0.2)
        return tuple(start(config, place, *one) for one in told)


def start(config: str, cache: str, workdir: str, epochs: float) -> tuple[float, float]:
    """One short run, or a step more of one that is there."""
    command = [sys.executable, 'main.py', f'--gin_file={config}']
    command += [f'--gin.EPOCHS={epochs}', f'--workdir={workdir}']
    spent = cost(command, env={'JUNIPER_CACHE': cache})
    ready = re.search(r'ready in ([\d.]+) s', spent.output)
    return float(ready[1]), spent.cpu_seconds


if __name__ == '__main__':
    main()
