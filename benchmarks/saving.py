"""Saving and restoring beside torch.save and bare Orbax: `python -m benchmarks.saving`.

Float32 arrays of 9.4 MB each, 11, 86 and 300 million numbers in all. Ours have
fingerprints and are brought to the disk itself (fsync), which no other side does.
"""

import argparse
import functools
import json
import pathlib
import shutil
import subprocess
import tempfile

import jax

from benchmarks.measure import alternate, markdown, setting, spread
from benchmarks.safe_saving import timed
from trainer import orbax_files
from trainer.checkpoints import CheckpointStore
from trainer.compilation import enable_cache
from trainer.fingerprints import named_leaves

SIDE = 1536
MILLIONS = (11, 86, 300)
TORCH = """
import json, sys, time, torch
count, side, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
state = {str(i): torch.randn(side, side) for i in range(count)}
began = time.perf_counter(); torch.save(state, path)
saved = time.perf_counter(); torch.load(path)
print(json.dumps([saved - began, time.perf_counter() - saved]))
"""


def main() -> None:
    """Measures all sizes, the sides in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--millions', type=int, nargs='*', default=MILLIONS)
    parser.add_argument('--peer-python', help='of an environment that has torch')
    flags = parser.parse_args()
    enable_cache()
    print(f'{setting()}\n')
    rows = []
    for millions in flags.millions:
        with tempfile.TemporaryDirectory() as directory:
            sides = sides_of(millions, pathlib.Path(directory), flags.peer_python)
            given = alternate(sides, flags.rounds)
        for name, rounds in given.items():
            columns = zip(*rounds, strict=True)
            rows.append([f'{millions} M', name, *map(milliseconds, columns)])
    print(markdown(['numbers', 'side', 'held, ms', 'saved, ms', 'restored, ms'], rows))


def milliseconds(seconds) -> str:
    """Median and range."""
    return spread([1000 * s for s in seconds], 0)


def sides_of(millions: int, directory: pathlib.Path, peer: str | None) -> dict:
    """Functions that give seconds: the caller waits, the save is done, it is read."""
    count = round(millions * 1e6 / SIDE**2)
    keys = jax.random.split(jax.random.key(0), count)
    draw = jax.jit(functools.partial(jax.random.normal, shape=(SIDE, SIDE)))
    state = {f'kernel_{i}': draw(key) for i, key in enumerate(keys)}
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )
    store, steps = CheckpointStore(directory / 'ours', keep=1), iter(range(10_000))
    sides = {
        'Juniper': functools.partial(ours, store, steps, state, abstract),
        'Orbax': functools.partial(orbax, directory / 'orbax', state, abstract),
    }
    if peer:
        command = [peer, '-c', TORCH, str(count), str(SIDE), str(directory / 'x.pt')]
        sides['torch.save'] = functools.partial(torch_save, command)
    ours(store, steps, state, abstract)  # compiles
    return sides


def ours(store, steps, state, abstract) -> tuple[float, float, float]:
    """A save that goes on without its caller, and a verified restore."""
    step = next(steps)
    held = timed(lambda: store.save(step, state, {}))
    rest = timed(store.wait)
    restored = timed(lambda: jax.block_until_ready(store.load(step, abstract)))
    return held, held + rest, restored


def orbax(place: pathlib.Path, state, abstract) -> tuple[float, float, float]:
    """The same through Orbax alone."""
    shutil.rmtree(place, ignore_errors=True)
    under_way = []
    held = timed(
        lambda: under_way.append(orbax_files.start_save(place, named_leaves(state), {}))
    )
    rest = timed(under_way[0].result)
    restored = timed(lambda: load(place, abstract))
    return held, held + rest, restored


def load(place: pathlib.Path, abstract) -> None:
    """Reads the arrays with Orbax."""
    jax.block_until_ready(orbax_files.load(place, named_leaves(abstract)))


def torch_save(command: list[str]) -> tuple[float, float, float]:
    """torch.save, for which its caller waits, and torch.load, in its own process."""
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    saved, restored = json.loads(done.stdout)
    return saved, saved, restored


if __name__ == '__main__':
    main()
