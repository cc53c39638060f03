"""A multi-layer perceptron on flattened images; features, no logits."""

import itertools
import math
from typing import Annotated

import gin
from annotated_types import Ge, Interval
from flax import nnx

from models.arguments import check_at_least_one, check_rate
from models.catalog import add_models


@gin.register
class MLP(nnx.Module):
    """Dense layers with GELU and dropout: `[B, ...] -> [features [B, hidden_dim]]`.

    GELU: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415. Weights are
    LeCun-normal (1998, "Efficient BackProp"), the default of Flax.

    Attributes:
      channels: (hidden_dim,).
      strides: (None,); the features have no positions.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        hidden_dim: Annotated[int, Ge(1)] = 256,
        num_layers: Annotated[int, Ge(1)] = 2,
        dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.1,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the net; `rngs` draws weights (`params`) and masks (`dropout`).

        Raises:
          ValueError: for layers or units below 1, or a dropout outside [0, 1).
        """
        check_at_least_one('MLP', hidden_dim=hidden_dim, num_layers=num_layers)
        check_rate('MLP', dropout=dropout)
        sizes = [math.prod(input_shape), *num_layers * [hidden_dim]]
        self.channels = (hidden_dim,)
        self.strides = (None,)
        self.layers = nnx.List(
            nnx.Linear(*pair, dtype=dtype, rngs=rngs)
            for pair in itertools.pairwise(sizes)
        )
        self.dropout = nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, images):
        """`[B, ...]` -> list of one `[B, hidden_dim]`."""
        features = images.reshape(images.shape[0], -1)
        for layer in self.layers:
            features = self.dropout(nnx.gelu(layer(features)))
        return [features]


add_models({'mlp': MLP})
