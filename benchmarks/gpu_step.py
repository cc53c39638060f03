"""bfloat16 train steps on a GPU beside timm: `python -m benchmarks.gpu_step`.

ResNet-50, ViT-B/16 and ConvNeXt-T beside timm with automatic mixed precision, channels
last and `torch.compile`, and ResNet-18 on pictures of CIFAR's shape that lie on the
device; AdamW for all. Sides take turns, each in a process of its own. MFU is the
operations of our step over the published peak of the device, for both sides.
"""

import argparse
import os
import statistics
import sys

from benchmarks.gpu_sides import VARIANTS
from benchmarks.measure import markdown, spread
from benchmarks.train_step import Side

ROWS = {  # name: height and width, batch, steps of a turn
    'resnet50': (224, 256, 20),
    'vit_b16': (224, 128, 20),
    'convnext_t': (224, 128, 20),
    'cifar': (32, 512, 100),
}
HEADER = ['net', 'images', 'juniper, images/s', 'MFU']
HEADER += ['torch.compile, images/s', 'MFU', 'times as fast', 'torch eager, images/s']


def main(given=None) -> None:
    """Measures each row, and prints a table."""
    flags = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    flags.add_argument('rows', nargs='*', default=list(ROWS), help=', '.join(ROWS))
    flags.add_argument('--rounds', type=int, default=7, help='turns of each side')
    flags.add_argument('--peer-python', default=sys.executable, help='with torch, timm')
    flags.add_argument('--patience', type=float, default=900, help='seconds for a turn')
    flags.add_argument('--batch', type=int, help='another than the row has')
    flags.add_argument('--size', type=int, help='the same, height and width')
    flags.add_argument('--steps', type=int, help='the same, of a turn')
    flags = flags.parse_args(given)
    os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'  # both sides want memory
    rows = [row(name, flags) for name in flags.rows]
    print(f'bfloat16, {rows[0][0]}\n\n{markdown(HEADER, [cells for _, cells in rows])}')


def row(name: str, flags) -> tuple[str, list[str]]:
    """The device, and a row of the table."""
    from trainer.footprint import peak_flops

    given = flags.size, flags.batch, flags.steps
    size, batch, steps = (a or b for a, b in zip(given, ROWS[name], strict=True))
    found = measured(name, size, batch, steps, flags)
    rates = {
        turn: [steps * batch / told['seconds'] for told in answers]
        for turn, answers in found.items()
    }
    ours, compiled, eager = rates.values()
    told = found['juniper', 'plain'][0]
    peak = peak_flops(told['device'])

    def share(rate: list[float]) -> str:
        used = statistics.median(rate) * told['flops'] / batch
        return f'{used / peak:.1%}' if peak else 'no peak is stated'

    ratio = f'{statistics.median(ours) / statistics.median(compiled):.2f}'
    cells = [name, f'{batch} x {size}x{size}x3', spread(ours, 0), share(ours)]
    cells += [spread(compiled, 0), share(compiled), ratio, spread(eager, 0)]
    return told['device'], cells


def measured(name: str, size: int, batch: int, steps: int, flags) -> dict:
    """What each variant of each side told in each of its turns.

    Raises:
      RuntimeError: a side ended, or did not answer in time.
    """
    pythons = {'juniper': sys.executable, 'torch': flags.peer_python}
    fixed = (name, size, batch), flags.patience, 'benchmarks.gpu_sides'
    turns = [(side, variant) for side in VARIANTS for variant in VARIANTS[side]]
    sides = {side: Side(python, side, *fixed) for side, python in pythons.items()}
    found = {turn: [] for turn in turns}
    try:
        for number in range(1 + flags.rounds):
            for side, variant in turns:
                told = sides[side].steps(variant, steps)
                found[side, variant] += [told] if number else []  # the first one warms
        return found
    finally:
        for side in sides.values():
            side.close()


if __name__ == '__main__':
    main()
