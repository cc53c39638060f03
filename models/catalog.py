"""Models by name, for people in a notebook; a name is a row of one table.

The file of a family adds its rows when it is imported, so that a new family is one
file, and one import line in `models/__init__.py` or in a config of one's own.
"""

import difflib
import fnmatch
import functools
import os
from collections.abc import Callable, Mapping

import jax
from flax import nnx

from models.heads import Classifier
from models.net import Net
from models.streams import make_rngs

BACKBONES: dict[str, Callable[..., nnx.Module]] = {}
HEADS: dict[str, Callable[..., nnx.Module]] = {}


def add_models(
    rows: Mapping[str, Callable[..., nnx.Module]],
    head: Callable[..., nnx.Module] = Classifier,
) -> None:
    """Adds backbones by name: `add_models({'tiny': functools.partial(Tiny, depth=2)})`.

    A name that stands in the table already is replaced. The head is what the papers
    put on these backbones.
    """
    BACKBONES.update(rows)
    HEADS.update(dict.fromkeys(rows, head))


def list_models(pattern: str = '*') -> list[str]:
    """Names that match a shell pattern such as 'resnet*', in the table's order."""
    return fnmatch.filter(BACKBONES, pattern)


def maker(name: str) -> Callable[..., Net]:
    """Makes the net of a name, given `input_shape`, `num_outputs` and `rngs`.

    Raises:
      ValueError: for a name that the table lacks, with the nearest ones.
    """
    name = _known(name)
    return functools.partial(Net, BACKBONES[name], HEADS[name])


def create_model(
    name: str,
    num_classes: int = 1000,
    pretrained: str | None = None,
    seed: int = 0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
) -> Net:
    """A net with random weights, the same for the same seed, or with those of a file.

    Args:
      name: one of `list_models()`.
      num_classes: how many logits; another number than the weights have replaces
        their head.
      pretrained: weights as `load_pretrained` takes them.
      seed: of the weights and of dropout.
      input_shape: (height, width, channels) of an image.

    Returns:
      A `Net`: images `[B, H, W, C]` -> logits `[B, num_classes]` (of each pixel,
      `[B, H, W, num_classes]`, where the name is 'unet'), in training mode
      (`nnx.view(model, deterministic=True, use_running_average=True,
      raise_if_not_found=False)` evaluates).

    Raises:
      ValueError: for a name that the table lacks, with the nearest ones; for weights
        that do not fit.
    """
    make = maker(name)

    @jax.jit  # one program draws all weights; the eager way compiles one per shape
    def build(key):
        rngs = make_rngs(key)
        return make(input_shape=input_shape, num_outputs=num_classes, rngs=rngs)

    return _with_weights(build(jax.random.key(seed)), pretrained)


def create_backbone(
    family: str,
    variant: str = '',
    pretrained: str | None = None,
    seed: int = 0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
) -> nnx.Module:
    """A backbone alone: `create_backbone('vit', 's16', pretrained='vit.safetensors')`.

    Args:
      family: a family such as 'resnet', or a whole name of `list_models()`.
      variant: what stands behind the family's name there, such as '50' or 's16'.
      pretrained: weights as `load_pretrained` takes them; None draws them.
      seed: of the weights and of dropout.
      input_shape: (height, width, channels) of an image.

    Returns:
      A module with `channels` and `strides`: images `[B, H, W, C]` -> list of its
      maps, fine to coarse.

    Raises:
      ValueError: for a name that the table lacks, with the nearest ones.
    """
    joined = f'{family}{variant}'
    name = joined if joined in BACKBONES else f'{family}_{variant}'
    backbone = BACKBONES[_known(name.removesuffix('_'))]
    build = jax.jit(lambda key: backbone(input_shape, rngs=make_rngs(key)))
    return _with_weights(build(jax.random.key(seed)), pretrained)


def _with_weights(net: nnx.Module, pretrained: str | None) -> nnx.Module:
    if pretrained is True:
        raise ValueError(
            'pretrained = True names no weights; give a file of them, or an address '
            "such as 'hf://timm/resnet18.a1_in1k/model.safetensors'."
        )
    if pretrained:
        from models.pretrained.loading import load_pretrained, set_weights

        set_weights(net, load_pretrained(os.fspath(pretrained), net).arrays)
    return net


def _known(name: str) -> str:
    """A name as the table has it; capitals, '_' and '-' do not matter."""
    alike = [known for known in BACKBONES if _bare(known) == _bare(name)]
    if name not in BACKBONES and len(alike) != 1:
        near = ', '.join(difflib.get_close_matches(name, BACKBONES, cutoff=0.0))
        raise ValueError(
            f'No model is called {name!r}; nearest: {near} (all: models.list_models()).'
        )
    return name if name in BACKBONES else alike[0]


def _bare(name: str) -> str:
    return name.lower().replace('_', '').replace('-', '')
