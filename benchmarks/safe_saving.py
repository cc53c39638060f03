"""What verified saving costs: `python -m benchmarks.safe_saving`.

ResNet-18 with AdamW: what a save adds to Orbax's own (fingerprints, the check that all
is finite, fsync), and for how long the loop waits for a save that goes on without it.
"""

import argparse
import pathlib
import shutil
import tempfile
import time

import jax

from benchmarks.measure import alternate, markdown, setting, spread
from trainer import orbax_files
from trainer.checkpoints import CheckpointStore
from trainer.compilation import enable_cache
from trainer.divergence import check_weights
from trainer.experiment import load
from trainer.fingerprints import fingerprints, named_leaves
from trainer.job import open_job


def main() -> None:
    """Measures all in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=7)
    rounds = parser.parse_args().rounds
    enable_cache()
    state = open_job(load(['configs/resnet18.gin'])).init_state()
    jax.block_until_ready(state)
    with tempfile.TemporaryDirectory() as directory:
        sides = sides_of(state, pathlib.Path(directory))
        for side in sides.values():
            side()  # compiles
        given = alternate(sides, rounds)
    rows = [[name, spread([1000 * s for s in given[name]])] for name in sides]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / 1e6
    print(f'{setting()}; {size:.0f} MB in {len(jax.tree.leaves(state))} leaves\n')
    print(markdown(['what', 'ms'], rows))


def sides_of(state, directory: pathlib.Path) -> dict:
    """What is measured: functions that give seconds."""
    store, steps = CheckpointStore(directory / 'ours', keep=1), iter(range(10_000))

    def orbax():
        place = directory / 'orbax'
        shutil.rmtree(place, ignore_errors=True)
        return timed(
            lambda: orbax_files.start_save(place, named_leaves(state), {}).result()
        )

    def whole():
        def save():
            store.save(next(steps), state, {})
            store.wait()

        return timed(save)

    def waiting():
        seconds = timed(lambda: store.save(next(steps), state, {}))
        store.wait()
        return seconds

    return {
        "Orbax's save, synchronous": orbax,
        'our save, synchronous': whole,
        'of it: fingerprints': lambda: timed(lambda: fingerprints(state)),
        'of it: all finite': lambda: timed(lambda: check_weights(state, 0)),
        'the loop waits': waiting,
    }


def timed(function) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == '__main__':
    main()
