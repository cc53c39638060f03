"""Positions as the rows of one matrix, where that is quicker; knows no layers."""

import jax


def as_rows(maps):
    """`[..., D] -> [M, D]` on a CPU, as it is elsewhere; `reshape` is the way back.

    XLA's CPU compiler hands a product to its library as it stands only where both
    sides are matrices. With more axes it writes each side out again, transposed for
    the gradient of the weights, and each of these copies computes anew the sums of
    all residual branches since the net's end: half of a train step of ViT-Ti/4.
    Other devices multiply arrays of any rank in place.
    """
    if jax.default_backend() != 'cpu':
        return maps
    return maps.reshape(-1, maps.shape[-1])
