"""State over 8 simulated devices: `python -m benchmarks.layouts`.

For one device, data parallel and FSDP: bytes of parameters and optimizer on each
device, the collectives in the compiled step, and the loss after some steps.
"""

import argparse
import json
import os
import subprocess
import sys

from benchmarks.measure import markdown, setting

DEVICES, STEPS, MIB = 8, 5, 2**20
SIMULATED = f'--xla_force_host_platform_device_count={DEVICES}'
COLLECTIVES = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all')
LAYOUTS = {  # name: devices, bindings
    'one device': (1, []),
    'data parallel': (DEVICES, []),
    'FSDP': (DEVICES, [f'Parallel.fsdp = {DEVICES}']),
}


def main() -> None:
    """Measures each layout in a process of its own, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--gin_file', default='configs/resnet18.gin')
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--layout', choices=LAYOUTS)
    flags = parser.parse_args()
    if flags.layout:
        print(json.dumps(facts(flags.gin_file, flags.batch, LAYOUTS[flags.layout][1])))
        return
    print(f'{setting()}; {flags.gin_file}, batch {flags.batch}\n')
    found = {name: measured(name, flags) for name in LAYOUTS}
    whole = found['one device']['bytes']
    rows = [
        [
            name,
            f'{fact["bytes"] / MIB:.1f}',
            f'{fact["bytes"] / whole:.3f}',
            *(fact[kind] for kind in COLLECTIVES),
            f'{fact["loss"]:.6f}',
        ]
        for name, fact in found.items()
    ]
    header = ['layout', 'MiB a device', 'share', *COLLECTIVES, f'loss at {STEPS}']
    print(markdown(header, rows))


def measured(layout: str, flags) -> dict:
    """The facts of one layout, from a process with so many devices."""
    command = [sys.executable, '-m', 'benchmarks.layouts', f'--layout={layout}']
    command += [f'--gin_file={flags.gin_file}', f'--batch={flags.batch}']
    simulated = {'XLA_FLAGS': SIMULATED} if LAYOUTS[layout][0] > 1 else {}
    done = subprocess.run(
        command, env=os.environ | simulated, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def facts(config: str, batch: int, layout: list[str]) -> dict:
    """Bytes on the first device, collectives by name, and the loss."""
    import jax

    from trainer.compilation import enable_cache
    from trainer.experiment import load
    from trainer.job import open_job

    enable_cache()
    job = open_job(load([config], [f'Images.batch = {batch}', *layout]), ())
    state, step = job.init_state(), job.compile_train_step()
    first, held = jax.devices()[0], jax.tree.leaves((state.params, state.opt_state))
    shards = [shard for leaf in held for shard in leaf.addressable_shards]
    size = sum(shard.data.nbytes for shard in shards if shard.device == first)
    batches = job.train_batches()
    for _ in range(STEPS):
        state, watch = step(state, next(batches)[0])
        jax.block_until_ready(watch)
    batches.close()
    program = step.as_text()
    found = {kind: program.count(f' {kind}(') for kind in COLLECTIVES}
    return {'bytes': size, 'loss': float(watch['loss']), **found}


if __name__ == '__main__':
    main()
