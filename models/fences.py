"""Functions that XLA's CPU compiler computes once, in kernels of their own.

It would otherwise compute what is elementwise anew wherever it is read, and with it all
that stands before it up to the last product: where a convolution's gradient turns the
maps round, element by element across the whole array, every input of every residual
sum so far is read in that order too. Knows no layers.
"""

import functools
from collections.abc import Callable

import jax
from jax.experimental.xla_metadata import set_xla_metadata


def fenced(function: Callable, **options) -> Callable:
    """The same function of arrays, whose result is written out where CPUs compute it.

    XLA leaves a call alone that is not to be inlined. Other compilers fuse with more
    care, and are not held up. The options are those of `jax.jit`.
    """

    @functools.wraps(function)
    def inside(*arguments):
        with set_xla_metadata(inlineable=None):  # else it holds for calls in it too
            return function(*arguments)

    jitted = jax.jit(inside, **options)

    @functools.wraps(function)
    def called(*arguments):
        if jax.default_backend() != 'cpu':
            return function(*arguments)
        with set_xla_metadata(inlineable='false'):
            return jitted(*arguments)

    return called
