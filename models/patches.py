"""Cuts maps into patches and embeds each; knows nothing of what follows."""

import jax.numpy as jnp
from flax import nnx

from models.arguments import check_at_least_one
from models.convolution import convolve


class Patches(nnx.Module):
    """One dense layer for each square patch: `[B, H, W, C] -> [B, H/size, W/size, D]`.

    Sizes are rounded up: where the last patches are not whole, zeros stand for what
    is missing below and to the right. (PyTorch would leave out those patches.)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the layer; `size` is a patch's side in pixels.

        Raises:
          ValueError: for a size below 1.
        """
        check_at_least_one('Patches', size=size)
        self.size = size
        self.conv = nnx.Conv(
            in_channels,
            out_channels,
            (size, size),
            size,
            padding='VALID',
            conv_general_dilated=convolve,
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(self, images):
        """`[B, H, W, C] -> [B, H/size, W/size, D]`, sizes rounded up."""
        missing = [(0, -size % self.size) for size in images.shape[1:3]]
        return self.conv(jnp.pad(images, ((0, 0), *missing, (0, 0))))
