"""Rematerialisation: memory for time, one block at a time."""

from flax import nnx


def run(block: nnx.Module, maps, remat: bool):
    """Applies a block to `[B, ...]`; with `remat` the backward pass does so again.

    Then only what goes into a block is kept for the gradient, not what happens inside
    it: memory falls from blocks x depth of a block to blocks, for a second forward
    pass. Chen et al. 2016, https://arxiv.org/abs/1604.06174. Results are the same.
    """
    return nnx.remat(_apply)(block, maps) if remat else block(maps)


def _apply(block: nnx.Module, maps):
    return block(maps)
