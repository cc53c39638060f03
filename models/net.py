"""Net(backbone, head): the one way a backbone meets a head; knows no model by name."""

from collections.abc import Callable
from typing import Literal, get_args

import gin
import jax.numpy as jnp
from flax import nnx

from models.arguments import check_choice

Dtype = Literal['float32', 'bfloat16']


@gin.register
class Net(nnx.Module):
    """Images `[B, H, W, C]` -> maps of the backbone -> outputs of the head.

    Attributes:
      backbone: images -> list of maps, fine to coarse.
      head: list of maps -> outputs.
      pretrained: where the weights come from that a run begins with, or None.
    """

    def __init__(
        self,
        backbone: Callable[..., nnx.Module],
        head: Callable[..., nnx.Module],
        dtype: Dtype = 'float32',
        pretrained: str | bool | None = None,
        *,
        input_shape: tuple[int, ...],
        num_outputs: int | tuple[int, ...],
        rngs: nnx.Rngs,
    ):
        """Builds both parts, each told what it needs to know.

        Args:
          backbone: called with (input_shape, dtype=, rngs=); must say the `channels`
            and `strides` of its maps.
          head: called with (channels, num_outputs, strides=, dtype=, rngs=), where
            channels and strides are those of all maps, fine to coarse.
          dtype: of the activations; parameters and statistics are float32. Not
            float16, whose small gradients vanish.
          pretrained: a weight file, 'hf://owner/repository/file', 'https://...', a
            run directory or a checkpoint in one, or True for the usual weights of this
            backbone; only remembered here: whoever holds the weights reads it.
          input_shape: (height, width, channels) of an image, or (features,).
          num_outputs: what the task asks for, such as the number of classes; what
            asks for several numbers gives a tuple.
          rngs: draws the weights (`params`) and dropout masks (`dropout`).

        Raises:
          ValueError: for a dtype that there is not, or a backbone for which no weights
            are usual.
        """
        dtype = activation_dtype(dtype)
        self.pretrained = _location(pretrained, backbone)
        self.backbone = backbone(input_shape, dtype=dtype, rngs=rngs)
        channels, strides = self.backbone.channels, self.backbone.strides
        self.head = head(channels, num_outputs, strides=strides, dtype=dtype, rngs=rngs)

    def __call__(self, images, **asked):
        """`[B, H, W, C]` -> what the head gives, such as logits `[B, classes]`.

        Args:
          images: normalised.
          **asked: what a task asks of its head beside, such as `KeypointRCNN` takes.
        """
        return self.head(self.features(images), **asked)

    def features(self, images):
        """`[B, H, W, C]` -> list of the backbone's maps, fine to coarse."""
        return self.backbone(images)


def _location(pretrained: str | bool | None, backbone) -> str | None:
    from models.pretrained.usual import located  # which knows nets by name

    return located(pretrained, backbone)


def activation_dtype(dtype):
    """The dtype of a name such as 'bfloat16', or of a jnp dtype.

    Raises:
      ValueError: for one that there is not, or that no activations have here.
    """
    try:
        name = jnp.dtype(dtype).name
    except TypeError:
        name = dtype
    check_choice('Net', 'dtype', name, get_args(Dtype))
    return jnp.dtype(name)
