"""What the norm of updates costs a logged step, beside the same step without it.

python -m benchmarks.update_norm configs/resnet18.gin
"""

import argparse
import statistics
import time

import jax

from trainer.compilation import enable_cache
from trainer.experiment import load
from trainer.host_memory import keep_freed_memory
from trainer.job import open_job


def seconds(job, pairs: int) -> dict[bool, float]:
    """Median CPU time of a step with (True) and without the norm, taken in turn."""
    step, state = job.compile_train_step(), job.init_state()
    beside = job.programs.update_norm().result()
    batch, _ = next(job.train_batches())
    found = {True: [], False: []}
    for number in range(2 * pairs):
        logged, began = number % 2 == 0, time.process_time()
        kept = beside.keep(state.params) if logged else None
        state, watch = step(state, batch)
        norm = beside.since(kept, state.params) if logged else None
        jax.block_until_ready((state, watch, norm))
        found[logged].append(time.process_time() - began)
    return {logged: statistics.median(found[logged][2:]) for logged in found}


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('config')
    flags.add_argument('--pairs', type=int, default=60)
    given = flags.parse_args()
    keep_freed_memory()
    enable_cache()
    experiment = load([given.config])
    found = seconds(open_job(experiment, ()), given.pairs)
    more, every = found[True] - found[False], experiment.log_every
    print(
        f'{1000 * found[False]:.2f} ms a step, {1000 * more:.2f} more with the norm, '
        f'{more / every / found[False]:.2%} with a line every {every} steps'
    )


if __name__ == '__main__':
    main()
