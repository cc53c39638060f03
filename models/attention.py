"""Attention and what stands around it in a transformer; tokens in, tokens out.

Parameters, normalisations and softmax are float32; the rest works in the `dtype` of
the activations.
"""

import functools

import jax.numpy as jnp
from flax import nnx

from models.activations import gelu
from models.attention_kernels import attend
from models.drop_path import DropPath
from models.norms import LayerNorm
from models.rows import as_rows

# Touvron et al. 2021, https://arxiv.org/abs/2012.12877, and timm.
normal_002 = nnx.initializers.truncated_normal(0.02)
Linear = functools.partial(nnx.Linear, kernel_init=normal_002)


class Attention(nnx.Module):
    """Multi-head self-attention: `[B, N, D] -> [B, N, D]`.

    Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2.2. One dense
    layer makes queries, keys and values, in this order.
    """

    def __init__(self, features: int, num_heads: int, *, dtype='float32', rngs):
        """Builds the layer; each head takes `features / num_heads` channels.

        Raises:
          ValueError: for heads that do not divide the features.
        """
        if num_heads < 1 or features % num_heads:
            raise ValueError(
                f'Attention cannot share {features} features among {num_heads} heads; '
                f'choose a divisor of {features}.'
            )
        self.num_heads = num_heads
        self.qkv = Linear(features, 3 * features, dtype=dtype, rngs=rngs)
        self.out = Linear(features, features, dtype=dtype, rngs=rngs)

    def __call__(self, tokens):
        """`[B, N, D] -> [B, N, D]`"""
        batch, length, features = tokens.shape
        heads = batch, length, self.num_heads, features // self.num_heads
        parts = jnp.split(self.qkv(as_rows(tokens)), 3, axis=-1)
        query, key, value = (part.reshape(heads) for part in parts)
        mixed = attend(query, key, value).reshape(tokens.shape)
        return self.out(as_rows(mixed)).reshape(tokens.shape)


class MLPBlock(nnx.Module):
    """Dense, GELU, dense, at each position alone: `[..., D] -> [..., D]`.

    GELU (Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415) is the exact
    one, as in the weights that PyTorch users share.
    """

    def __init__(self, features: int, hidden: int, *, dtype='float32', rngs):
        self.dense1 = Linear(features, hidden, dtype=dtype, rngs=rngs)
        self.dense2 = Linear(hidden, features, dtype=dtype, rngs=rngs)

    def __call__(self, tokens):
        """`[..., D] -> [..., D]`"""
        hidden = gelu(self.dense1(as_rows(tokens)))
        return self.dense2(hidden).reshape(tokens.shape)


class TransformerBlock(nnx.Module):
    """Attention and an MLP four times as wide, each normalised first and added.

    `[B, N, D] -> [B, N, D]`. Dosovitskiy et al. 2021, figure 1,
    https://arxiv.org/abs/2010.11929.
    """

    def __init__(
        self,
        features: int,
        num_heads: int,
        drop_path: float = 0.0,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the block; either branch is left out at the rate `drop_path`."""
        self.norm1 = LayerNorm(features, rngs=rngs)
        self.attention = Attention(features, num_heads, dtype=dtype, rngs=rngs)
        self.norm2 = LayerNorm(features, rngs=rngs)
        self.mlp = MLPBlock(features, 4 * features, dtype=dtype, rngs=rngs)
        self.drop_path = DropPath(drop_path, rngs=rngs)

    def __call__(self, tokens):
        """`[B, N, D] -> [B, N, D]`"""
        shape, rows = tokens.shape, as_rows(tokens)
        for norm, part in ((self.norm1, self.attention), (self.norm2, self.mlp)):
            branch = part(norm(rows).reshape(shape))
            rows = rows + as_rows(self.drop_path(branch))
        return rows.reshape(shape)
