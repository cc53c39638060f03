"""Sums over the words of arrays that lie in this machine's memory, in a few programs.

A program for each shape of a leaf would cost a cold start of a ResNet-18 over a second
of compiling. Here every leaf is read where it lies, in pieces of two sizes. Knows
arrays; not what is summed.
"""

from collections.abc import Callable, Iterator

import jax
import numpy as np

PIECES = (2**20, 2**15)  # words; for what is shorter than the last numpy is as fast
TYPES = ('float32', 'int32', 'uint32', 'complex64')  # whose words are their bits


def readable(leaf) -> bool:
    """True of one copy in this machine's memory, abstract or not, made of words."""
    return in_memory(leaf) and str(leaf.dtype) in TYPES


def in_memory(leaf) -> bool:
    """True of one copy in this machine's memory, abstract or not, of any type."""
    sharding = getattr(leaf, 'sharding', None)
    devices = sharding.device_set if sharding else ()
    return len(devices) == 1 and all(
        device.platform == 'cpu' and device.process_index == jax.process_index()
        for device in devices
    )


def words(leaf: jax.Array) -> np.ndarray:
    """The bits of a leaf as uint32 [N], not copied.

    Not by `np.asarray`: the array would keep that view beyond this.
    """
    return np.from_dlpack(leaf).reshape(-1).view(np.uint32)


class Summed:
    """A sum over all words of a leaf, modulo 2 ** 32.

    Args:
      mixed: words and their positions, both uint32 [N], to what is summed; arithmetic
        that numpy and JAX do alike.
    """

    def __init__(self, mixed: Callable):
        self.mixed = mixed
        self._piece = jax.jit(self._sum_of_piece)

    def __call__(self, leaf: jax.Array) -> Callable[[], int]:
        """Begins the sum; what is given back waits for it."""
        parts = [self._begun(piece, at) for at, piece in _cut(words(leaf))]
        return lambda: sum(int(part) for part in parts) % 2**32

    def compile(self) -> None:
        """Compiles all that any leaf will need."""
        for size in PIECES:
            self._begun(np.zeros(size, np.uint32), 0)

    def _begun(self, piece: np.ndarray, at: int):
        at = np.uint32(at % 2**32)
        if len(piece) in PIECES:
            return self._piece(piece, at)
        positions = np.arange(len(piece), dtype=np.uint32) + at
        return self.mixed(piece, positions).sum(dtype=np.uint32)

    def _sum_of_piece(self, piece: jax.Array, at: jax.Array) -> jax.Array:
        positions = jax.lax.iota(np.uint32, len(piece)) + at
        return self.mixed(piece, positions).sum(dtype=np.uint32)


def _cut(all_words: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Positions and pieces, the largest first; the last one may be of any length."""
    at = 0
    for size in PIECES:
        while len(all_words) - at >= size:
            yield at, all_words[at : at + size]
            at += size
    if at < len(all_words):
        yield at, all_words[at:]
