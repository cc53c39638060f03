"""A train step of one side, in a process of its own that runs it when told.

`python -m benchmarks.step_sides juniper vit_ti4 32 3 64` builds and warms up, says so,
and then for each line `VARIANT STEPS` on stdin writes the milliseconds of each step as
JSON: `[[wall, cpu], ...]`. Only what its side needs is imported.
"""

import functools
import json
import sys
import time

import numpy as np

# What a side can be measured as; the first is its own default.
VARIANTS = {
    'juniper': ('plain',),
    'torch': (
        'eager',
        'compile',
        'channels_last',
        'fused',
        'channels_last+fused',
        'channels_last+fused+compile',
    ),
}


def problem(model: str, size: int, channels: int, batch: int):
    """(model, images `[B, size, size, C]`, labels `[B]` or, for 'unet', of pixels)."""
    draw = np.random.default_rng(0)
    shape = batch, size, size, channels
    images = draw.random(shape, dtype=np.float32)
    return model, images, draw.integers(0, 10, shape[:3] if model == 'unet' else batch)


def juniper_step(name: str, images, labels):
    """A function of nothing that trains one step and waits for it.

    The way the trainer goes: split once, plain `jax.jit`, buffers donated.
    """
    import jax
    import optax
    from flax import nnx

    net = _net(name, images.shape[1:])
    model = jax.jit(lambda key: net(rngs=nnx.Rngs(key)))(jax.random.key(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adamw(1e-3, weight_decay=1e-4)
    train = jax.jit(trains(graph, optimizer), donate_argnums=0)
    state = params, rest, optimizer.init(params)

    def step():
        nonlocal state
        state, loss = train(state, images, labels)
        return float(loss)

    return step


def _net(name: str, image_shape: tuple[int, ...]):
    from models import MLP, Classifier, Net, ResNet, Segmenter, UNet, ViT

    backbones = {
        'resnet18': functools.partial(ResNet, depth=18, stem='small'),
        'resnet18_imagenet': functools.partial(ResNet, depth=18),
        'vit_ti4': functools.partial(ViT, size='Ti/4'),
        'vit_ti16': functools.partial(ViT, size='Ti/16'),
        'unet': functools.partial(UNet, width=16, depth=3),
        'mlp': MLP,
    }
    head = functools.partial(Segmenter, fpn=None) if name == 'unet' else Classifier
    options = {'input_shape': image_shape, 'num_outputs': 10}
    return functools.partial(Net, backbones[name], head, **options)


def trains(graph, optimizer):
    """`train(state, images, labels) -> (state, loss)`, to be jitted."""
    import jax
    import optax
    from flax import nnx

    def loss_of(params, rest, images, labels):
        model = nnx.merge(graph, params, rest, copy=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(model(images), labels)
        return losses.mean(), nnx.state(model, nnx.Not(nnx.Param))

    def train(state, images, labels):
        params, rest, opt_state = state
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, rest), grads = gradient(params, rest, images, labels)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), rest, opt_state), loss

    return train


@functools.cache
def build(side: str, variant: str, model: str, size: int, channels: int, batch: int):
    """The step of a side, which has run twice."""
    given = problem(model, size, channels, batch)
    if side == 'juniper':
        step = juniper_step(*given)
    else:
        from benchmarks.peers import torch_step

        options = {
            'channels_last': 'channels_last' in variant,
            'fused': 'fused' in variant,
            'compiled': 'compile' in variant,
        }
        step = torch_step(*given, **options)
    step(), step()
    return step


def timed(step, count: int) -> list[tuple[float, float]]:
    """Milliseconds of wall and of CPU time, all threads, of each of so many steps."""
    spent = []
    for _ in range(count):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        walled, computed = time.perf_counter() - wall, time.process_time() - cpu
        spent.append((1e3 * walled, 1e3 * computed))
    return spent


def main(side: str, model: str, *sizes: str):
    if side == 'juniper':  # what a step frees is kept for the next, as `main.py` has it
        from trainer.host_memory import keep_freed_memory

        keep_freed_memory()
    made = functools.partial(build, side, model=model)
    size, channels, batch = map(int, sizes)
    shape = {'size': size, 'channels': channels, 'batch': batch}
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        variant, count = line.split()
        spent = timed(made(variant, **shape), int(count))
        print(json.dumps(spent), file=answers, flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
