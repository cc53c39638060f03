"""What the report costs a run: seconds of its pages and records, and their share.

python -m benchmarks.report_cost configs/resnet18.gin
"""

import argparse
import tempfile
import threading
import time

from trainer import chronicle
from trainer.compilation import enable_cache
from trainer.experiment import load
from trainer.train import train


class Timed(chronicle.Chronicle):
    """Counts seconds of all that is written, beside the steps and at the end."""

    wall = cpu = after = 0.0

    def _guarded(self, work):
        began, busy = time.perf_counter(), time.thread_time()
        super()._guarded(work)
        seconds = time.perf_counter() - began
        Timed.wall += seconds
        Timed.cpu += time.thread_time() - busy
        if threading.current_thread() is threading.main_thread():
            Timed.after += seconds


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('config')
    flags.add_argument('bindings', nargs='*', help="such as 'EPOCHS = 5'")
    given = flags.parse_args()
    enable_cache()
    from trainer import train as training

    training.Chronicle = Timed
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        train(load([given.config], given.bindings), f'{place}/run')
    total = time.perf_counter() - began
    print(f'run {total:.1f} s; report {Timed.wall:.2f} s, of which at the end ', end='')
    print(f'{Timed.after:.2f} s; {Timed.cpu:.2f} s of CPU: {Timed.cpu / total:.2%}')


if __name__ == '__main__':
    main()
