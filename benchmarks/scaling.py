"""Weak scaling on paper: `python -m benchmarks.scaling`.

Step time against devices, the batch of each device kept: from the operations of our
nets as XLA counts them, their bytes, and published rates of devices and links. Nothing
is measured on such a machine; the assumptions are printed with the table.
"""

import argparse
import dataclasses
import math

from benchmarks.measure import markdown
from trainer.footprint import peak_flops

MODELS = {'resnet50': 256, 'vit_b16': 128}  # images on each device
SIZE, MFU = 224, 0.4
DEVICES = (1, 8, 16, 64, 256)
ASSUMED = """\
- a device computes at {mfu:.0%} of its published peak (dense bfloat16), at any number
- a step is three forward passes (224x224), each as XLA counts its operations
- every device sends its gradients once a step, as float32: a ring or torus all-reduce
  of G bytes over n devices moves 2 (n - 1) / n G through each device's outgoing links;
  FSDP gathers parameters twice and scatters gradients once: half as much again
- v5e: 2D torus, 400 GB/s a chip in both directions together, so 200 GB/s out
  (https://cloud.google.com/tpu/docs/v5e; its 51.2 TB/s of all-reduce for a pod agree);
  slices smaller than a pod lack links around the edge and take up to twice as long
- H100: NVLink 900 GB/s in both directions, so 450 GB/s out, among 8; between boxes a
  400 Gb/s adapter for each GPU, so 50 GB/s (NVIDIA's data sheets of H100 and DGX H100);
  reduce inside a box, then between boxes an eighth of the bytes each, then back
- links reach {links:.0%} of that; latencies (of the small sums of BatchNorm over the
  global batch too), input and stragglers are left out
- 'hidden': all traffic overlaps with computing; 'shown': none does
"""


@dataclasses.dataclass(frozen=True)
class Machine:
    """A kind of device and its links.

    Attributes:
      kind: as JAX calls the device.
      box: how many share the fast links.
      inside, between: bytes a second out of each device, in a box and among boxes.
    """

    kind: str
    box: int
    inside: float
    between: float


MACHINES = {
    'v5e-256': Machine('TPU v5 lite', 256, 200e9, math.inf),
    '256 H100': Machine('NVIDIA H100 80GB HBM3', 8, 450e9, 50e9),
}


def main() -> None:
    """Prints the assumptions and the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--mfu', type=float, default=MFU)
    parser.add_argument('--links', type=float, default=0.8, help='share of their rate')
    flags = parser.parse_args()
    print(ASSUMED.format(mfu=flags.mfu, links=flags.links))
    rows = []
    for name, batch in MODELS.items():
        flops, parameters = cost(name)
        for where, machine in MACHINES.items():
            seconds = 3 * flops * batch / (flags.mfu * peak_flops(machine.kind))
            for count in DEVICES:
                sent = traffic(machine, 4 * parameters, count) / flags.links
                rows.append(row(f'{name}, {batch}', where, count, seconds, sent))
    header = ['model, batch a device', 'machine', 'devices', 'compute, ms']
    header += [
        'all-reduce, ms',
        'FSDP, ms',
        'efficiency: hidden',
        'shown',
        'FSDP shown',
    ]
    print(markdown(header, rows))


def row(model: str, where: str, count: int, seconds: float, sent: float) -> list:
    """One number of devices; efficiency is the step of one device over this step."""
    shown = [seconds / max(seconds, sent), seconds / (seconds + sent)]
    shown.append(seconds / (seconds + 1.5 * sent))
    times = [f'{1000 * value:.2f}' for value in (seconds, sent, 1.5 * sent)]
    return [model, where, count, *times, *(f'{value:.1%}' for value in shown)]


def traffic(machine: Machine, size: int, count: int) -> float:
    """Seconds of an all-reduce of so many bytes over so many devices."""
    inside = min(count, machine.box)
    boxes = count // inside
    near = 2 * (inside - 1) / inside * size / machine.inside
    far = 2 * (boxes - 1) / boxes * size / inside / machine.between
    return near + far


def cost(name: str) -> tuple[float, int]:
    """Operations of one image forward, and parameters, as XLA and the model say."""
    from trainer import model_table

    (found,) = model_table.sizes([name], True)
    return 1e9 * found.gflops, found.params


if __name__ == '__main__':
    main()
