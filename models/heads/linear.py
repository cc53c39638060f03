"""The last layer of every head: products in the activations' dtype, float32 out."""

import jax.numpy as jnp
from flax import nnx

from models.rows import as_rows


class Float32Linear(nnx.Linear):
    """A dense layer on each position's channels: `[..., D] -> float32 [..., C]`."""

    def __init__(self, in_features: int, out_features: int, **options):
        # Products of `dtype`, but sums and outputs in float32: near ties between
        # classes would vanish in the 8 bits of bfloat16.
        options['preferred_element_type'] = jnp.float32
        super().__init__(in_features, out_features, **options)

    def __call__(self, features):
        outputs = super().__call__(as_rows(features)).astype(jnp.float32)
        return outputs.reshape(*features.shape[:-1], self.out_features)
