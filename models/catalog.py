"""Models by name, for people in a notebook; a name is a row of one table."""

import difflib
import fnmatch
import functools

import jax
from flax import nnx

from models.heads import Classifier
from models.mlp import MLP
from models.net import Net
from models.resnet import STAGES, ResNet

BACKBONES = {
    **{f'resnet{depth}': functools.partial(ResNet, depth=depth) for depth in STAGES},
    'mlp': MLP,
}


def list_models(pattern: str = '*') -> list[str]:
    """Names that match a shell pattern such as 'resnet*', in the table's order."""
    return fnmatch.filter(BACKBONES, pattern)


def create_model(
    name: str,
    num_classes: int = 1000,
    seed: int = 0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
) -> Net:
    """A net with random weights, the same for the same seed.

    Args:
      name: one of `list_models()`.
      num_classes: how many logits.
      seed: of the weights and of dropout.
      input_shape: (height, width, channels) of an image.

    Returns:
      A `Net`: images `[B, H, W, C]` -> logits `[B, num_classes]`, in training mode
      (`nnx.view(model, deterministic=True, use_running_average=True,
      raise_if_not_found=False)` evaluates).

    Raises:
      ValueError: for a name that the table lacks, with the nearest ones.
    """
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES) or list_models()
        raise ValueError(f'No model is called {name!r}; nearest: {", ".join(near)}.')

    # One compiled program draws all weights; the eager way compiles one per shape.
    @jax.jit
    def build(key):
        return Net(
            BACKBONES[name],
            Classifier,
            input_shape=input_shape,
            num_outputs=num_classes,
            rngs=nnx.Rngs(key),
        )

    return build(jax.random.key(seed))
