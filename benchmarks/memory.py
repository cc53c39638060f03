"""Memory of a train step, as XLA states it and as its process has it: a CPU, on Linux.

    python -m benchmarks.memory

For each config, in a process of its own: bytes that the compiled step says it takes,
what arrays held at most between steps, and how far the memory of the process rose over
what it had without state and steps. A copy of the state would show in all of them.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import pathlib
import re
import subprocess
import sys

import jax

from benchmarks.measure import markdown, setting
from trainer import bench, feeding
from trainer.compilation import enable_cache
from trainer.experiment import load
from trainer.job import Job, open_job
from trainer.judgements import step_memory
from trainer.stopwatch import Stopwatch

MIB = 2**20
DIGITS = 'configs/resnet18.gin'
TINY = ['ViT.size = "Ti/4"', 'Images.size = 32', 'BATCH = 64']
CASES = {  # name: gin files, bindings
    'ResNet-18, 8x8, batch 128': ([DIGITS], []),
    'ViT-Ti/4, 32x32, batch 64': ([DIGITS, 'configs/models/vit_b16.gin'], TINY),
    'U-Net, 48x48, batch 32': (['configs/unet_segmentation.gin'], []),
}
HEADER = ('config', 'state', 'aliased', 'scratch', 'XLA: in all', 'of state + scratch')
HEADER += ('arrays at most', 'process rose by', 'of state + scratch')


def main() -> None:
    """Measures each case in a process of its own, and prints a table in MiB."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--case', choices=CASES)
    parser.add_argument('--steps', type=int, default=20)
    flags = parser.parse_args()
    if flags.case:
        print(json.dumps(facts(*CASES[flags.case], flags.steps)))
        return
    print(f'{setting()}; MiB, {flags.steps} steps\n')
    print(markdown(HEADER, [row(name, flags.steps) for name in CASES]))


def row(name: str, steps: int) -> list[str]:
    """The figures of a case, from a process of its own."""
    command = [sys.executable, '-m', 'benchmarks.memory', f'--case={name}']
    command += [f'--steps={steps}']
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    stated = found['state'] + found['scratch']
    columns = ('state', 'aliased', 'scratch', 'in_all')
    return [
        name,
        *(f'{found[column] / MIB:.1f}' for column in columns),
        f'{found["in_all"] / stated:.3f}',
        f'{found["arrays"] / MIB:.1f}',
        f'{found["rose"] / MIB:.1f}',
        f'{found["rose"] / stated:.3f}',
    ]


def facts(files: list[str], bindings: list[str], steps: int) -> dict[str, int]:
    """Bytes of a train step, stated and measured."""
    enable_cache()
    job = open_job(load(files, bindings), ())
    step = job.compile_train_step()
    stated = step.memory_analysis()
    state = sum(leaf.nbytes for leaf in jax.tree.leaves(job.init_state()))
    life(job, step, steps)  # all that happens once, such as compiling, is over then
    before = trimmed()
    arrays = life(job, step, steps)
    return {
        'state': state,
        'aliased': stated.alias_size_in_bytes,
        'scratch': stated.temp_size_in_bytes,
        'in_all': step_memory(step),
        'arrays': arrays,
        'rose': of_process('VmHWM') - before,
    }


def life(job: Job, step, steps: int) -> int:
    """Trains as a run does, from a state of its own; most bytes of arrays on the way.

    The peak of the process's memory is then that of these steps alone.
    """
    data, most = job.datasets['train'], 0
    state = jax.block_until_ready(job.init_state())
    trimmed()  # of what it took to draw it
    pathlib.Path('/proc/self/clear_refs').write_text('5')  # VmHWM begins anew

    def done(taken: int) -> bool:
        nonlocal most
        most = max(most, sum(array.nbytes for array in jax.live_arrays()))
        return taken == steps

    batches = feeding.single_batches(data, job.mesh, job.experiment.seed)
    with contextlib.closing(batches), contextlib.closing(Stopwatch()) as clock:
        bench.take(step, None, state, batches, clock, done)
    return most


def trimmed() -> int:
    """Bytes of the process once all that is free has gone back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return of_process('VmRSS')


def of_process(name: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    status = pathlib.Path('/proc/self/status').read_text()
    return 1024 * int(re.search(rf'^{name}:\s+(\d+) kB$', status, re.MULTILINE)[1])


if __name__ == '__main__':
    main()
