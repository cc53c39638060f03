"""What several processes do together beside a run, one thing after the other.

python -m tests.done_together bench fast --workdir=... --coordinator=... ...
"""

import functools
import json
import pathlib
import sys

from trainer import command_line, files, processes
from trainer.command_flags import FLAGS


def all_of_it(names: list[str], workdir: pathlib.Path, stop) -> dict:
    """What each has come to."""
    from trainer import bench, memory, operations, range_test, roll_call, trials
    from trainer.compilation import enable_cache
    from trainer.console import Console
    from trainer.experiment import load
    from trainer.train import train

    enable_cache()
    range_test.STEPS = 40
    read = functools.partial(load, ['configs/mlp.gin'])
    small = ['MLP.hidden_dim = 32', 'EPOCHS = 1', 'LEARNING_RATE = 1e-2']
    mlp, seeds = read(small), read([*small, 'Experiment.seeds = (0, 1)'])
    common = {'stop': stop, 'console': Console(quiet=True)}
    page, trace = str(workdir / 'rates.html'), str(workdir / 'trace')
    run, seeds_run = workdir / 'run', workdir / 'seeds'
    done = {
        'bench': lambda: bench.bench(mlp, **common, seconds=0.3),
        'fast': lambda: trials.fast(mlp, **common, workdir=run),
        'seeds': lambda: train(seeds, seeds_run, **common),
        'overfit': lambda: trials.overfit(mlp, **common),
        'lr_find': lambda: range_test.range_test(mlp, **common, out=page),
        'memory': lambda: memory.examine(roll_call.opened(mlp, ()), 2 * 2**20),
        'profile': lambda: operations.profile(mlp, **common, out=trace),
    }
    return {name: done[name]() for name in names}


def main() -> None:
    """Does it, and prints it in the first process."""
    names = command_line.parse(sys.argv)
    with processes.joined('bench', FLAGS):
        from trainer.signals import stop_on_signals

        with stop_on_signals() as stop:
            found = all_of_it(names, pathlib.Path(FLAGS.workdir), stop)
        if processes.is_main():
            print(json.dumps(files.plain(found)), flush=True)


if __name__ == '__main__':
    main()
