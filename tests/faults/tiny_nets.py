"""Small nets with what can go wrong in big ones: statistics, dropped paths."""

import gin
import jax.numpy as jnp
from flax import nnx

from models.attention import TransformerBlock
from models.blocks import BasicBlock, ConvNorm


@gin.register
class TinyResNet(nnx.Module):
    """A residual block with BatchNorm: `[B, H, W, C] -> logits [B, K]`."""

    def __init__(self, *, input_shape, num_outputs: int, rngs: nnx.Rngs):
        self.stem = ConvNorm(input_shape[-1], 4, 3, rngs=rngs)
        self.block = BasicBlock(4, 8, 2, rngs=rngs)
        self.dense = nnx.Linear(8, num_outputs, rngs=rngs)

    def __call__(self, images):
        return self.dense(jnp.mean(self.block(self.stem(images)), (1, 2)))


@gin.register
class TinyViT(nnx.Module):
    """Two blocks with drop path over patches: `[B, H, W, C] -> logits [B, K]`."""

    def __init__(self, *, input_shape, num_outputs: int, rngs: nnx.Rngs):
        self.patches = nnx.Conv(input_shape[-1], 16, (4, 4), (4, 4), rngs=rngs)
        self.blocks = nnx.List(
            [TransformerBlock(16, 2, drop_path=rate, rngs=rngs) for rate in (0.1, 0.3)]
        )
        self.dense = nnx.Linear(16, num_outputs, rngs=rngs)

    def __call__(self, images):
        tokens = self.patches(images).reshape(len(images), -1, 16)
        for block in self.blocks:
            tokens = block(tokens)
        return self.dense(jnp.mean(tokens, 1))
