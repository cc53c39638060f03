"""bfloat16 train steps of one side on a GPU, in a process of its own that is told when.

`python -m benchmarks.gpu_sides juniper resnet50 224 256` builds a side, and for each
line `VARIANT STEPS` on stdin trains so many steps, sent off one behind the other and
waited for at the end, and writes JSON: `{"seconds": ..., "device": ..., "flops": ...}`.
Pictures lie on the device as bytes; a step takes its rows and normalises them. Of
'cifar' there are 50,000, and ours takes ten steps in one dispatch, as a run does.
"""

import functools
import json
import sys
import time

import numpy as np

VARIANTS = {'juniper': ('plain',), 'torch': ('compile', 'eager')}
TIMM = {
    'resnet50': 'resnet50',
    'vit_b16': 'vit_base_patch16_224',
    'convnext_t': 'convnext_tiny',
}
CIFAR, IMAGES, AT_ONCE = 'cifar', 50_000, 10
MEAN, STD = 0.5, 0.25


def problem(model: str, size: int, batch: int):
    """Images `[N, size, size, 3]` of bytes, labels `[N]`, and what draws rows `[B]`."""
    draw = np.random.default_rng(0)
    count = IMAGES if model == CIFAR else batch
    images = draw.integers(0, 256, (count, size, size, 3), np.uint8)
    labels = draw.integers(0, 10, count)
    return images, labels, lambda: draw.integers(0, count, batch).astype(np.int32)


def juniper_side(model: str, size: int, batch: int):
    """`run(steps) -> seconds`, with the device and the operations of a step."""
    import jax
    import optax
    from flax import nnx

    from benchmarks.step_sides import trains
    from trainer.flops import flops

    images, labels, rows = problem(model, size, batch)
    net = jax.jit(lambda key: _net(model, size)(rngs=nnx.Rngs(key)))(jax.random.key(0))
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    optimizer = optax.adamw(1e-3, weight_decay=1e-4)
    steps, many = _several(trains(graph, optimizer)), AT_ONCE if model == CIFAR else 1
    state = params, rest, optimizer.init(params)
    held = jax.device_put((images, labels))
    traced = jax.jit(steps, donate_argnums=0).trace(state, held, _stack(rows, many))
    take = traced.lower().compile()

    def run(count: int) -> float:
        nonlocal state
        chosen = [jax.device_put(_stack(rows, many)) for _ in range(-(-count // many))]
        jax.block_until_ready((state, chosen))
        began = time.perf_counter()
        for one in chosen:
            state, loss = take(state, held, one)
        jax.block_until_ready(loss)
        return (time.perf_counter() - began) * count / (len(chosen) * many)

    return run, jax.devices()[0].device_kind, flops(traced.jaxpr) / many


def _several(train):
    """`steps(state, held, rows [K, B]) -> (state, losses)`."""
    import jax

    def steps(state, held, rows):
        def one(state, rows):
            taken = held[0][rows].astype('float32') / 255
            return train(state, (taken - MEAN) / STD, held[1][rows])

        return one(state, rows[0]) if len(rows) == 1 else jax.lax.scan(one, state, rows)

    return steps


def _stack(rows, many: int):
    return np.stack([rows() for _ in range(many)])


def _net(model: str, size: int):
    from models import Classifier, Net, ResNet
    from models.catalog import maker

    small = functools.partial(ResNet, depth=18, stem='small')
    make = functools.partial(Net, small, Classifier) if model == CIFAR else maker(model)
    shape = {'input_shape': (size, size, 3), 'num_outputs': 10}
    return functools.partial(make, dtype='bfloat16', **shape)


def torch_side(model: str, size: int, batch: int, compiled: bool):
    """As `juniper_side`, with mixed precision, channels last, AdamW as one kernel."""
    import torch

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    images, labels, rows = problem(model, size, batch)
    net = _torch_net(model).to(device, memory_format=torch.channels_last)
    forward = torch.compile(net) if compiled else net
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-4, fused=True)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(
        device, memory_format=torch.channels_last
    )
    labels = torch.from_numpy(labels).to(device)
    wait = torch.cuda.synchronize if device == 'cuda' else lambda: None

    def step(taken):
        pictures = (images[taken].float() / 255 - MEAN) / STD
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(forward(pictures), labels[taken])
        loss.backward()
        optimizer.step()

    def run(count: int) -> float:
        chosen = [torch.from_numpy(rows()).to(device).long() for _ in range(count)]
        wait()
        began = time.perf_counter()
        for taken in chosen:
            step(taken)
        wait()
        return time.perf_counter() - began

    return run, torch.cuda.get_device_name() if device == 'cuda' else device, None


def _torch_net(model: str):
    if model == CIFAR:
        from benchmarks.peers import ResNet18

        return ResNet18(3, 10, 32)
    import timm

    return timm.create_model(TIMM[model], num_classes=10)


@functools.cache
def build(side: str, variant: str, model: str, size: int, batch: int):
    """A side that has run twice."""
    if side == 'juniper':
        made = juniper_side(model, size, batch)
    else:
        made = torch_side(model, size, batch, variant == 'compile')
    made[0](1), made[0](1)
    return made


def main(side: str, model: str, size: str, batch: str):
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    for line in sys.stdin:
        variant, count = line.split()
        run, device, flops = build(side, variant, model, int(size), int(batch))
        told = {'seconds': run(int(count)), 'device': device, 'flops': flops}
        print(json.dumps(told), file=answers, flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
