"""Losses on 8 simulated devices beside one: `python -m benchmarks.drift`.

Rounding and mistakes both drive losses apart, and training amplifies either. In
float64 rounding is a billion times smaller: what then stays apart is a mistake. How
far one device alone drifts whose first weights are off by 1e-7 stands below.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.measure import markdown, setting

DEVICES, STEPS = 8, 50
SIMULATED = f'--xla_force_host_platform_device_count={DEVICES}'
COLUMNS = 'Parallel.rules = {"backbone/.*/conv/kernel": [None, None, None, "model"]}'
LAYOUTS = {  # the first is on one device, bindings of the others
    'one device': [],
    'data': [],
    'fsdp': [f'Parallel.fsdp = {DEVICES}'],
    'model': [f'Parallel.model = {DEVICES}', COLUMNS],
    'fsdp and model': ['Parallel.fsdp = 2', 'Parallel.model = 2', COLUMNS],
}
LIMIT, MOVED = 1e-5, 1e-7


def main() -> None:
    """Trains on each layout in a process of its own, and prints a table."""
    flags = parsed()
    if flags.layout:
        from trainer import processes

        with processes.joined('train', flags):
            losses = train(flags)
            if processes.is_main():
                print(json.dumps({'losses': losses}))
        return
    print(f'{setting()}; {flags.gin_file}, {flags.steps} steps\n')
    beyond = f'beyond {LIMIT:.0e} from step'
    header = ['layout', 'gradient of step 1', 'float32, most', beyond]
    print(markdown([*header, 'float64, most', beyond], compared(flags)))


def parsed() -> argparse.Namespace:
    """The flags; those of several processes are as in `main.py`."""
    flags = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    flags.add_argument('--gin_file', default='configs/resnet18.gin')
    flags.add_argument('--bind', action='append', default=['Images.batch = 32'])
    flags.add_argument('--steps', type=int, default=STEPS)
    flags.add_argument('--layout', choices=LAYOUTS)
    flags.add_argument('--exact', action='store_true', help='in float64')
    flags.add_argument('--moved', type=float, default=0.0, help='weights, at first')
    flags.add_argument('--gradient', type=pathlib.Path, help='where it is written')
    flags.add_argument('--coordinator')
    flags.add_argument('--process_id', type=int)
    flags.add_argument('--num_processes', type=int)
    flags.set_defaults(join_seconds=300, restarts=0)
    return flags.parse_args()


def compared(flags) -> list[list[str]]:
    """A row for each layout: how far it is from one device."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for layout in LAYOUTS:
            file = pathlib.Path(place) / f'{len(found)}.npz'
            single = losses_of(layout, flags, f'--gradient={file}')
            double = losses_of(layout, flags, '--exact')
            with np.load(file) as arrays:
                gradient = np.concatenate([arrays[n].ravel() for n in arrays.files])
            found[layout] = gradient.astype(np.float64), single, double
    one = found.pop('one device')
    moved = losses_of('one device', flags, '--exact', f'--moved={MOVED}')
    rows = [[layout, *_row(one, other)] for layout, other in found.items()]
    name = f'one device, weights off by {MOVED:.0e}'
    return [*rows, [name, '', '', '', *_apart(moved, one[2])]]


def _row(one, other) -> list[str]:
    gradient = np.linalg.norm(other[0] - one[0]) / np.linalg.norm(one[0])
    apart = *_apart(other[1], one[1]), *_apart(other[2], one[2])
    return [f'{gradient:.1e}', *apart]


def _apart(losses, others) -> list[str]:
    """The largest difference, and the step from which it is beyond the limit."""
    apart = np.abs(np.subtract(losses, others))
    beyond = np.flatnonzero(apart > LIMIT)
    return [f'{apart.max():.1e}', str(beyond[0] + 1) if len(beyond) else 'never']


def losses_of(layout: str, flags, *more: str) -> list[float]:
    """The losses of a layout, from a process with so many devices."""
    command = [sys.executable, '-m', 'benchmarks.drift', f'--layout={layout}', *more]
    command += [f'--gin_file={flags.gin_file}', f'--steps={flags.steps}']
    command += [f'--bind={binding}' for binding in flags.bind]
    simulated = {} if layout == 'one device' else {'XLA_FLAGS': SIMULATED}
    done = subprocess.run(
        command,
        env=os.environ | simulated,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return read_losses(done.stdout)


def read_losses(printed: str) -> list[float]:
    """What a process has printed, among other lines."""
    [line] = [line for line in printed.splitlines() if line.startswith('{"losses"')]
    return json.loads(line)['losses']


def train(flags) -> list[float]:
    """The loss of each step; the first gradient is written where a flag says so."""
    from trainer import processes
    from trainer.compilation import enable_cache
    from trainer.experiment import load
    from trainer.job import open_job

    enable_cache()
    if flags.exact:
        compute_in_double()
    job = open_job(load([flags.gin_file], [*flags.bind, *LAYOUTS[flags.layout]]), ())
    state, step = begun(job, flags.moved)
    processes.meet()
    losses = []
    with contextlib.closing(job.train_batches()) as batches:
        for _ in range(flags.steps):
            state, watch = step(state, next(batches)[0])
            losses.append(float(watch['loss']))
            if flags.gradient and len(losses) == 1:
                keep_gradient(state, flags.gradient)
    return losses


def compute_in_double() -> None:
    """From here on activations and losses are float64, where a run has float32.

    For this comparison alone, and so by changing names under the program's feet.
    """
    import jax
    import jax.numpy as jnp

    from models import net

    jax.config.update('jax_enable_x64', True)
    jnp.float32 = jnp.float64
    net.activation_dtype = lambda _: jnp.dtype('float64')


def begun(job, moved: float):
    """The state before the first step, and the step; in double where that is on.

    The weights are multiplied by numbers that are so much off one.
    """
    import jax

    from trainer.programs import Programs

    def widened(leaf):
        exact = jax.config.jax_enable_x64 and leaf.dtype == 'float32'
        return leaf.astype('float64') if exact else leaf

    def move(leaf):
        return leaf * (1 + moved * jax.random.normal(jax.random.key(1), leaf.shape))

    def prepared(state):
        state = jax.tree.map(widened, state)
        return dataclasses.replace(state, params=jax.tree.map(move, state.params))

    abstract = job.abstract_state()
    places = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    widen = jax.jit(prepared, out_shardings=places)
    shapes = jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=place
        ),
        jax.eval_shape(widen, abstract),
        places,
    )
    programs = Programs(job.recipe, shapes, job.mesh)
    step = programs.begin_train_step(job.datasets['train']).result()
    return widen(job.init_state()), step


def keep_gradient(state, file: pathlib.Path) -> None:
    """Writes what AdamW remembers after one step: the gradient, times a constant."""
    import optax

    mean = optax.tree_utils.tree_get(state.opt_state, 'mu')
    np.savez(file, **{name: np.asarray(value) for name, value in mean.items()})


if __name__ == '__main__':
    main()
