"""One train step beside PyTorch: `python -m benchmarks.train_step --model=vit_ti4`.

`--table` measures every kind of net at 32 and 224 pixels, a line each.

Forward, backward and AdamW in float32 on this machine's CPU, all cores for both.
The sides take turns in one process, so that a machine busy with other work slows
both alike; what counts is the ratio.
"""

import argparse
import functools
import os
import platform
import statistics
import time

import jax
import numpy as np
import optax
from flax import nnx

from models import MLP, Classifier, Net, ResNet, Segmenter, UNet, ViT

# The backbone, and the (size, channels, batch) that it is measured at unless said.
CASES = {
    'resnet18': (functools.partial(ResNet, depth=18, stem='small'), (8, 1, 128)),
    'resnet18_imagenet': (functools.partial(ResNet, depth=18), (224, 3, 8)),
    'vit_ti4': (functools.partial(ViT, size='Ti/4'), (32, 3, 64)),
    'vit_ti16': (functools.partial(ViT, size='Ti/16'), (224, 3, 8)),
    'unet': (functools.partial(UNet, width=16, depth=3), (32, 3, 32)),
    'mlp': (MLP, (32, 3, 128)),
}
HEADS = {'unet': functools.partial(Segmenter, fpn=None)}
# What --table measures: (model, size, batch).
TABLE = (
    ('mlp', 32, 128),
    ('vit_ti4', 32, 16),
    ('unet', 32, 32),
    ('resnet18', 32, 16),
    ('mlp', 224, 32),
    ('vit_ti16', 224, 8),
    ('unet', 224, 2),
    ('resnet18_imagenet', 224, 8),
)


def juniper_step(name, images, labels):
    """A function of nothing that trains one step and waits for it.

    The way the trainer goes: split once, plain `jax.jit`, buffers donated.
    """
    net = functools.partial(
        Net,
        CASES[name][0],
        HEADS.get(name, Classifier),
        input_shape=images.shape[1:],
        num_outputs=10,
    )
    model = jax.jit(lambda key: net(rngs=nnx.Rngs(key)))(jax.random.key(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adamw(1e-3, weight_decay=1e-4)
    train = _jitted(graph, optimizer)
    state = params, rest, optimizer.init(params)

    def step():
        nonlocal state
        state, loss = train(state, images, labels)
        return float(loss)

    return step


def _jitted(graph, optimizer):
    def loss_of(params, rest, images, labels):
        model = nnx.merge(graph, params, rest, copy=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(model(images), labels)
        return losses.mean(), nnx.state(model, nnx.Not(nnx.Param))

    @functools.partial(jax.jit, donate_argnums=0)
    def train(state, images, labels):
        params, rest, opt_state = state
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, rest), grads = gradient(params, rest, images, labels)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), rest, opt_state), loss

    return train


def alternate(sides: dict, rounds: int, steps: int = 2) -> dict:
    """Milliseconds of every step of every side, `steps` a turn after two to warm up."""
    for step in sides.values():
        step(), step()
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, step in sides.items():
            for _ in range(steps):
                start = time.perf_counter()
                step()
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument('--model', choices=CASES, default='resnet18')
    flags.add_argument('--size', type=int, help='height and width')
    flags.add_argument('--channels', type=int)
    flags.add_argument('--batch', type=int)
    flags.add_argument('--rounds', type=int, default=20, help='two steps a side each')
    flags.add_argument('--table', action='store_true', help='all of TABLE, a line each')
    flags = flags.parse_args()
    if flags.table:
        return table(flags.rounds)
    size, channels, batch = CASES[flags.model][1]
    size, channels = flags.size or size, flags.channels or channels
    shape = (flags.batch or batch, size, size, channels)
    print(f'{flags.model}, {shape}, float32, {_processor()}')
    return report(measured(flags.model, shape, flags.rounds))


def measured(model: str, shape: tuple[int, ...], rounds: int) -> dict:
    """Milliseconds of every step of every side, on drawn images `[B, H, W, C]`."""
    draw = np.random.default_rng(0)
    images = draw.random(shape, dtype=np.float32)
    labels = draw.integers(0, 10, shape[:3] if model in HEADS else shape[0])
    problem = model, images, labels
    sides = {'juniper': juniper_step(*problem), **_torch_sides(*problem)}
    return alternate(sides, rounds)


def table(rounds: int) -> None:
    """Prints a line for each problem, with the quickest of torch's four ways."""
    print(f'float32, {_processor()}\n| model | images | ms | torch | ratio |')
    print('|---|---|---|---|---|')
    for model, size, batch in TABLE:
        times = measured(model, (batch, size, size, 3), rounds)
        ours, *others = (statistics.median(spent) for spent in times.values())
        best = min(others, default=float('nan'))
        images = f'{batch} x {size}x{size}x3'
        line = f'| {model} | {images} | {ours:.1f} | {best:.1f} | {ours / best:.2f} |'
        print(line, flush=True)


def _torch_sides(*problem) -> dict:
    try:
        from benchmarks.peers import torch_step
    except ModuleNotFoundError as missing:
        print(f'No torch here ({missing}): Juniper alone. See requirements-peers.txt.')
        return {}
    layouts = {'torch eager': False, 'torch channels_last': True}
    return {
        name + (', fused AdamW' if fused else ''): torch_step(
            *problem, channels_last=channels_last, fused=fused
        )
        for name, channels_last in layouts.items()
        for fused in (False, True)
    }


def report(times: dict) -> None:
    """Prints median, quartiles and minimum of each side, and juniper's ratio to it."""
    ours = statistics.median(times['juniper'])
    print(f'{"ms a step":34} median   quartiles       min   juniper / this')
    for name, spent in times.items():
        low, middle, high = statistics.quantiles(spent, n=4)
        line = f'{name:34} {middle:6.1f}   {low:6.1f} {high:6.1f}  {min(spent):6.1f}'
        print(f'{line}   {ours / middle:.2f}')


def _processor() -> str:
    """The processor's name and number of cores."""
    name = platform.processor() or platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo') as info:
            names = [line for line in info if line.startswith('model name')]
        name = names[0].split(':')[1].strip() if names else name
    return f'{name}, {os.cpu_count()} cores'


if __name__ == '__main__':
    main()
