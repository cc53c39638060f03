"""Images a second that are read: `python -m benchmarks.input`.

All sides read the same 2,000 JPEGs of 500 x 375 with as many workers and give batches
of 64 random-resized crops of 224 x 224, flipped by chance (Juniper flips on the device,
in its step). The limit is the bare decoder, in as many threads. Each side runs in a
process of its own, prepared as a run's is. CPU time is told too, of a side and all its
workers: it depends less on what else the machine does. Then whole batches of small
images out of memory.
"""

import argparse
import contextlib
import functools
import importlib.util
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time

import numpy as np

from benchmarks.measure import alternate, cost, markdown, setting, spread
from benchmarks.readers import BATCH, NEEDS, SIDES, make_photos
from trainer.data.images import Images
from trainer.host_memory import keep_freed_memory


def measure(make, batches: int, warm: int = 12) -> tuple[float, float]:
    """(images/s, CPU ms an image) once the readers have begun, all workers together."""
    made = make()
    for _ in range(warm):
        next(made)
    began, worked = time.perf_counter(), cpu_seconds()
    for _ in range(batches):
        next(made)
    seconds, worked = time.perf_counter() - began, cpu_seconds() - worked
    with contextlib.suppress(AttributeError):
        made.close()
    images = batches * BATCH
    return images / seconds, 1e3 * worked / images


def cpu_seconds() -> float:
    """That this process and the workers that it has now have used so far."""
    ticks = 0
    for worker in multiprocessing.active_children():
        fields = pathlib.Path(f'/proc/{worker.pid}/stat').read_text().rpartition(')')[2]
        ticks += sum(map(int, fields.split()[11:13]))  # user and system
    return time.process_time() + ticks / os.sysconf('SC_CLK_TCK')


def one_side(name: str, folder: str, workers: int, batches: int) -> None:
    """Prints what `measure` says of a side, as JSON; what its own process runs."""
    if name.startswith('Juniper'):
        keep_freed_memory()  # as `main.py` does before it trains
    paths = sorted(map(str, pathlib.Path(folder).glob('*/*.jpg')))
    print(json.dumps(measure(lambda: SIDES[name](folder, paths, workers), batches)))


def apart(name: str, folder, workers: int, batches: int) -> tuple[float, float]:
    """`one_side` in a process of its own."""
    flags = [f'--side={name}', f'--folder={folder}', f'--workers={workers}']
    run = [sys.executable, '-m', 'benchmarks.input', *flags, f'--batches={batches}']
    done = cost(run, env={'PYTHONWARNINGS': 'ignore'})
    return json.loads(done.output.strip().splitlines()[-1])


def files(rounds: int, workers: int, batches: int) -> None:
    """The table of readers."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder) / 'photos'
        folder.mkdir()
        make_photos(folder)
        found = alternate(
            {
                name: functools.partial(apart, name, folder, workers, batches)
                for name in SIDES
                if importlib.util.find_spec(NEEDS.get(name, 'cv2'))
            },
            rounds,
        )
    rates = {name: [rate for rate, _ in rows] for name, rows in found.items()}
    worked = {name: [cpu for _, cpu in rows] for name, rows in found.items()}
    limit = 'the bare decoder'
    rows = [
        [
            name,
            spread(rates[name], 0),
            f'{np.median(rates[name]) / np.median(rates[limit]):.2f}',
            spread(worked[name], 2),
            f'{min(worked[limit]) / min(worked[name]):.2f}',
        ]
        for name in found
    ]
    header = ['reader', 'images/s', 'of the limit', 'CPU ms an image', 'limit / it']
    print(markdown(header, rows))


def memory(rounds: int) -> None:
    """Whole batches out of memory: 50,000 images of 32 x 32 x 3."""
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/images.npz'
        images = np.random.default_rng(0).integers(0, 256, (50_000, 32, 32, 3))
        labels = np.arange(50_000) % 10
        np.savez(path, images=images.astype(np.uint8), labels=labels)
        from trainer.data.sources.arrays import Arrays

        data = Images(source=Arrays(file=path), split='train', batch=BATCH).open()
        made = lambda: data.train_batches(0)  # noqa: E731
        rates = [measure(made, 5000)[0] for _ in range(rounds)]
    print(markdown(['in memory', 'images/s'], [['32 x 32 x 3', spread(rates, 0)]]))


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('--rounds', type=int, default=3)
    flags.add_argument('--workers', type=int, default=2)
    flags.add_argument('--batches', type=int, default=60)
    flags.add_argument('--side', choices=SIDES, help='measure this one alone')
    flags.add_argument('--folder', help='of the pictures, with --side')
    flags = flags.parse_args()
    if flags.side:
        return one_side(flags.side, flags.folder, flags.workers, flags.batches)
    print(setting())
    files(flags.rounds, flags.workers, flags.batches)
    memory(flags.rounds)


if __name__ == '__main__':
    main()
