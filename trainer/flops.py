"""Floating-point operations of a traced program: its products and its convolutions.

For GPUs, whose compiled programs leave both to libraries for which XLA counts nothing
(https://github.com/jax-ml/jax/issues/22249). Knows jaxprs; no model and no device.
"""

import math
from collections.abc import Iterator

import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.interpreters.partial_eval import dce_jaxpr

# Products of queries with keys, and of weights with values; their gradients.
ATTENTION = {
    'dot_product_attention_fwd_wrapper': 2,
    'dot_product_attention_bwd_wrapper': 4,
}


def flops(program: ClosedJaxpr) -> int:
    """Two for each multiplication with its sum, of all devices together.

    Padding, the zeros that a gradient puts between strides, and what nothing needs
    count nothing, as XLA has it. Of branches the costliest counts, of a loop of unknown
    length one turn.
    """
    needed, _ = dce_jaxpr(program.jaxpr, [True] * len(program.out_avals))
    return counted(needed)


def counted(program: ClosedJaxpr | Jaxpr) -> int:
    """`flops` of a program all of which is needed."""
    return sum(map(_of_equation, getattr(program, 'jaxpr', program).eqns))


def _of_equation(equation) -> int:
    name, params = equation.primitive.name, equation.params
    if name == 'dot_general':
        return _of_product(equation)
    if name == 'conv_general_dilated':
        return _of_convolution(equation)
    if name in ATTENTION:  # queries [B, T, heads, D], keys [B, S, heads, D]
        query, key = (variable.aval.shape for variable in equation.invars[:2])
        return 2 * ATTENTION[name] * math.prod(query) * key[1]
    inner = [counted(program) for program in _programs(params)]
    if name == 'cond':
        return max(inner)
    return params.get('length', 1) * sum(inner) if name == 'scan' else sum(inner)


def _programs(params: dict) -> Iterator[ClosedJaxpr | Jaxpr]:
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else [value]:
            if isinstance(one, ClosedJaxpr | Jaxpr):
                yield one


def _of_product(equation) -> int:
    (contracted, _), _ = equation.params['dimension_numbers']
    left, (out,) = equation.invars[0].aval.shape, equation.outvars
    return 2 * math.prod(out.aval.shape) * math.prod(left[axis] for axis in contracted)


def _of_convolution(equation) -> int:
    """Pairs of an output and a kernel's position that meet a number, by dimension."""
    params = equation.params
    maps, kernel = (variable.aval.shape for variable in equation.invars)
    out = equation.outvars[0].aval.shape
    axes = params['dimension_numbers']
    met = [
        _meetings(maps[i], kernel[k], out[o], *window)
        for i, k, o, *window in zip(
            axes.lhs_spec[2:],
            axes.rhs_spec[2:],
            axes.out_spec[2:],
            params['window_strides'],
            params['padding'],
            params['lhs_dilation'],
            params['rhs_dilation'],
            strict=True,
        )
    ]
    batch, channels = (out[axis] for axis in axes.out_spec[:2])
    return 2 * batch * channels * kernel[axes.rhs_spec[1]] * math.prod(met)


def _meetings(
    size: int, kernel: int, out: int, stride, padding, dilation, kernel_dilation
) -> int:
    starts = stride * np.arange(out)[:, None] - padding[0]
    places = starts + kernel_dilation * np.arange(kernel)
    inside = (places >= 0) & (places < dilation * (size - 1) + 1)
    return int(np.sum(inside & (places % dilation == 0)))
