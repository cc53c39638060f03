"""Models by name, for people in a notebook; a name is a row of one table.

The file of a family adds its rows when it is imported, so that a new family is one
file, and one import line in `models/__init__.py` or in a config of one's own.
"""

import fnmatch
import functools
import os
from collections.abc import Callable, Mapping

import jax
from flax import nnx

from models.arguments import called_by, check_name, check_taken, parameters_of
from models.heads import HEADS, Classifier
from models.net import Net, activation_dtype
from models.streams import make_rngs

Maker = Callable[..., nnx.Module]

BACKBONES: dict[str, Maker] = {}
USUAL_HEADS: dict[str, Maker] = {}
SHAPE = (224, 224, 3)


def add_models(rows: Mapping[str, Maker], head: Maker = Classifier) -> None:
    """Adds backbones by name: `add_models({'tiny': functools.partial(Tiny, depth=2)})`.

    A name that stands in the table already is replaced. The head is what the papers
    put on these backbones.
    """
    BACKBONES.update(rows)
    USUAL_HEADS.update(dict.fromkeys(rows, head))


def list_models(pattern: str = '*') -> list[str]:
    """Names that match a shell pattern such as 'resnet*', in the table's order."""
    return fnmatch.filter(BACKBONES, pattern)


def maker(name: str, head: str | Maker | None = None, **arguments) -> Maker:
    """Makes the net of a name, given `input_shape`, `num_outputs` and `rngs`.

    Args:
      name, head: as in `create_model`.
      **arguments: of the backbone.

    Raises:
      ValueError: for a name or an argument that there is not, with the nearest ones.
    """
    name = _known(name)
    backbone, usual = _backbone(name, arguments, create_model), USUAL_HEADS[name]
    return functools.partial(Net, backbone, _head(head, usual) if head else usual)


def create_model(
    name: str,
    num_classes: int | tuple[int, ...] = 1000,
    pretrained: str | bool | None = None,
    seed: int = 0,
    input_shape: tuple[int, int, int] = SHAPE,
    head: str | Maker | None = None,
    dtype: str = 'float32',
    **arguments,
) -> Net:
    """A net with random weights, the same for the same seed, or with those of a file.

    Args:
      name: one of `list_models()`.
      num_classes: how many outputs; another number than the weights have replaces
        their head.
      pretrained: weights as `load_pretrained` takes them, True for the usual ones.
      seed: of the weights and of dropout.
      input_shape: (height, width, channels) of an image.
      head: a name of `models.HEADS`, or a class; None takes what the papers have.
      dtype: of the activations.
      **arguments: of the backbone: `hidden_dim=64` for 'mlp'; the encoder of 'unet'
        may be a name.

    Returns:
      A `Net`, images `[B, H, W, C]` -> what its head gives, in training mode;
      `nnx.view(model, deterministic=True, use_running_average=True,
      raise_if_not_found=False)` evaluates.

    Raises:
      ValueError: for a name or an argument that there is not, with the nearest ones;
        for weights that do not fit.
    """
    shapes = {'input_shape': input_shape, 'num_outputs': num_classes}
    make = functools.partial(maker(name, head, **arguments), dtype, **shapes)
    backbone, _, _ = make.args
    location = _location(pretrained, backbone, name)
    return _with_weights(_drawn(make, seed), location)


def create_backbone(
    family: str,
    variant: str = '',
    pretrained: str | bool | None = None,
    seed: int = 0,
    input_shape: tuple[int, int, int] = SHAPE,
    dtype: str = 'float32',
    **arguments,
) -> nnx.Module:
    """A backbone alone: `create_backbone('vit', 's16', pretrained='vit.safetensors')`.

    Args:
      family: a family such as 'resnet', or a whole name of `list_models()`.
      variant: what stands behind the family's name there, such as '50' or 's16'.
      pretrained, seed, input_shape, dtype, **arguments: as in `create_model`.

    Returns:
      A module with `channels` and `strides`: images `[B, H, W, C]` -> list of its
      maps, fine to coarse.

    Raises:
      ValueError: as `create_model`.
    """
    joined = f'{family}{variant}'
    name = joined if joined in BACKBONES else f'{family}_{variant}'
    name = _known(name.removesuffix('_'))
    backbone = _backbone(name, arguments, create_backbone)
    options = {'input_shape': input_shape, 'dtype': activation_dtype(dtype)}
    location = _location(pretrained, backbone, name)
    net = _drawn(functools.partial(backbone, **options), seed)
    return _with_weights(net, location)


def _drawn(make: Maker, seed: int) -> nnx.Module:
    """The module with its weights, all of one program; eagerly each shape is one."""
    build = jax.jit(lambda key: make(rngs=make_rngs(key)))
    return build(jax.random.key(seed))


def _with_weights(net: nnx.Module, location: str | None) -> nnx.Module:
    if location:
        from models.pretrained.loading import load_pretrained, set_weights

        set_weights(net, load_pretrained(location, net).arrays)
    return net


def _location(pretrained, backbone: Maker, name: str) -> str | None:
    """Where the weights lie that were asked for, said before anything is built."""
    from models.pretrained.usual import located

    location = located(pretrained, backbone, name)
    return location and os.fspath(location)


def _backbone(name: str, arguments: Mapping, create: Callable) -> Maker:
    """The backbone of a known name, with further arguments that `create` was given."""
    backbone, encoder = BACKBONES[name], arguments.get('encoder')
    check_taken(name, backbone, arguments, parameters_of(create))
    if isinstance(encoder, str):
        arguments = {**arguments, 'encoder': BACKBONES[_known(encoder)]}
    return functools.partial(backbone, **arguments)


def _head(head: str | Maker, usual: Maker) -> Maker:
    """A head by name, told what the usual one is, such as to have no pyramid."""
    if isinstance(head, str):
        head = HEADS[check_name('head', head, HEADS)]
    if not callable(head):
        raise ValueError(f'head = {head!r} is none; choose {", ".join(HEADS)}.')
    taken, said = parameters_of(head), called_by(head)[1]
    _, unsaid = called_by(usual)
    told = {key: value for key, value in unsaid.items() if key in taken}
    return functools.partial(head, **{**told, **said})


def _known(name: str) -> str:
    return check_name('model', name, BACKBONES, ' (all: models.list_models())')
