"""What verified saving costs: `python -m benchmarks.safe_saving`.

ResNet-18 with AdamW: what a save adds to Orbax's own (fingerprints, the check that all
is finite, fsync), for how long the loop waits for a save that goes on without it, and
what steps lose to it that are taken meanwhile.
"""

import argparse
import functools
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
from trainer.host_memory import keep_freed_memory
from trainer.job import open_job

STEPS = 16


def main() -> None:
    """Measures all in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=7)
    rounds = parser.parse_args().rounds
    enable_cache()
    keep_freed_memory()
    job = open_job(load(['configs/resnet18.gin']), ())
    state = jax.block_until_ready(job.init_state())
    with tempfile.TemporaryDirectory() as directory:
        sides = sides_of(state, pathlib.Path(directory))
        given = measured(sides, rounds)
        steps = Steps(job, pathlib.Path(directory))
        sides = {'none': steps, 'one': functools.partial(steps, saves=True)}
        taken = measured(sides, rounds)
    rows = [[name, spread([1000 * s for s in given[name]])] for name in given]
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) / 1e6
    print(f'{setting()}; {size:.0f} MB in {len(jax.tree.leaves(state))} leaves\n')
    print(markdown(['what', 'ms'], rows), end='\n\n')
    rows = [
        [name, *(spread(column, 2) for column in zip(*rounds, strict=True))]
        for name, rounds in taken.items()
    ]
    header = ['saves', f'{STEPS} steps, s', 'CPU, s', 'the step after, s']
    print(markdown(header, rows))


def measured(sides: dict, rounds: int) -> dict[str, list]:
    """What each side gives in turns, after one that compiles."""
    alternate(sides, 1)
    return alternate(sides, rounds)


class Steps:
    """Train steps in a row on one batch, with a save begun after the second or none."""

    def __init__(self, job, directory: pathlib.Path):
        self.step, self.state = job.compile_train_step(), job.init_state()
        batches = job.train_batches()
        self.batch, _ = next(batches)
        batches.close()
        self.store = CheckpointStore(directory / 'steps', keep=1)
        self.number = 0

    def __call__(self, saves: bool = False) -> tuple[float, float, float]:
        """Seconds, seconds of all cores, and those of the step after the save."""
        cpu = time.process_time()
        saved = [saves and i == 1 for i in range(STEPS)]
        took = [timed(functools.partial(self._step, save)) for save in saved]
        self.store.wait()
        return sum(took), time.process_time() - cpu, took[2]

    def _step(self, saves: bool) -> None:
        self.state, watch = self.step(self.state, self.batch)
        jax.block_until_ready(watch)
        if saves:
            self.number += 1
            self.store.save(self.number, self.state, {})


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
