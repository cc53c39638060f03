"""Weights of a file for a net: naming recognised, all tensors accounted for.

loaded = load_pretrained('resnet18.safetensors', net)
set_weights(net, loaded.arrays)
"""

import dataclasses
import importlib
import pathlib
import pkgutil
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx

from models import pretrained
from models.pretrained.alike import check_epsilon, check_padding
from models.pretrained.downloads import fetched
from models.pretrained.fitting import adaptations
from models.pretrained.mapping import HEAD, Rule, import_weights, known_names
from models.pretrained.preprocessing import preprocessing_of
from models.pretrained.weight_files import WeightFile, read_weights

KNOWN = 0.5  # share of a file's names that a naming must know to be recognised
OURS = 'juniper'


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """Weights in our names, and what became of each tensor of their file.

    Attributes:
      arrays: float32 by our path; without what is replaced.
      replaced: our paths of the head, which stays as it was drawn.
      adapted: our paths whose arrays were fitted to another shape.
      left_out: names in the file that have no place here.
      naming: whose names they are: 'torchvision', 'timm', 'transformers', 'juniper'.
      path, sha256: of the file.
      preprocessing: what pictures they expect, see `preprocessing_of`.
    """

    arrays: Mapping[str, np.ndarray]
    replaced: tuple[str, ...]
    adapted: tuple[str, ...]
    left_out: tuple[str, ...]
    naming: str
    path: pathlib.Path
    sha256: str
    preprocessing: Mapping[str, object]


def load_pretrained(location: str, net: nnx.Module) -> Pretrained:
    """The weights at a location, as those of a net; the net is left as it is.

    Args:
      location: a path, 'hf://owner/repository/file' or 'https://...', of safetensors
        or, where PyTorch is installed, of its own format.
      net: concrete or abstract; a `Net`, or a backbone alone.

    Raises:
      ValueError: no such file, a damaged one, weights of another family, or any
        tensor that is unknown, missing or of another shape: all of them are listed;
        or weights that fit, of a net that computes something else (`alike`).
    """
    return fit_weights(open_weights(location), net)


def open_weights(location: str) -> WeightFile:
    """The file at a location, as `load_pretrained` takes it."""
    file = read_weights(fetched(location))
    return dataclasses.replace(file, location=str(location))


def fit_weights(file: WeightFile, net: nnx.Module) -> Pretrained:
    """The weights of a file as those of a net; errors as of `load_pretrained`."""
    alone = not hasattr(net, 'backbone')
    wanted = {('backbone/' if alone else '') + k: v for k, v in weights_of(net).items()}
    backbone = net if alone else net.backbone
    family = family_of(type(backbone))
    naming, rules = recognised(file, family)
    check_epsilon(file, family, naming, backbone)
    grid = getattr(getattr(backbone, 'stem', None), 'grid', None)
    try:
        found = import_weights(rules, file.arrays, wanted, adaptations(wanted, grid))
    except ValueError as error:
        raise ValueError(f'{file.path} ({naming} names): {error}') from error
    arrays = found.arrays
    if alone:
        arrays = {k.removeprefix('backbone/'): v for k, v in arrays.items()}
    return Pretrained(
        arrays=arrays,
        replaced=found.replaced,
        adapted=found.adapted,
        left_out=found.left_out,
        naming=naming,
        path=file.path,
        sha256=file.sha256,
        preprocessing=preprocessing_of(file.path, file.metadata, naming),
    )


def weights_of(net: nnx.Module) -> dict[str, nnx.Variable]:
    """Parameters and statistics of a net by path, 'backbone/stem/conv/kernel' ..."""
    kinds = nnx.Any(nnx.Param, nnx.BatchStat)
    state = nnx.to_flat_state(nnx.state(net, kinds))
    return {'/'.join(map(str, path)): leaf for path, leaf in state}


def set_weights(net: nnx.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Puts arrays, by path, into a net."""
    for path, leaf in weights_of(net).items():
        if path in arrays:
            leaf.set_value(jnp.asarray(arrays[path]))


def family_of(backbone: type) -> str | None:
    """The table of foreign names for a class, such as 'resnet'; None without one."""
    name = backbone.__module__.rpartition('.')[2]
    return name if name in families() else None


def families() -> dict[str, Mapping[str, Sequence[Rule]]]:
    """The namings of all families that have a table, by family."""
    modules = (name for _, name, _ in pkgutil.iter_modules(pretrained.__path__))
    found = (importlib.import_module(f'models.pretrained.{name}') for name in modules)
    return {
        module.__name__.rpartition('.')[2]: module.NAMINGS
        for module in found
        if hasattr(module, 'NAMINGS')
    }


def recognised(
    file: WeightFile, family: str | None
) -> tuple[str, Sequence[Rule] | None]:
    """The naming that knows most names of a file, and its rules; None for our own.

    Raises:
      ValueError: there is none, it is another family's, or of nets that are padded
        otherwise.
    """
    names = file.arrays
    if all(name.startswith(('backbone/', HEAD)) for name in names):
        return OURS, None
    shares = {
        (len(known_names(rules, names)) / len(names), of == family, of, naming): rules
        for of, namings in families().items()
        for naming, rules in namings.items()
    }
    share, _, found, naming = best = max(shares, key=lambda known: known[:2])
    if share < KNOWN:
        tables = [f'{of} ({", ".join(known)})' for of, known in families().items()]
        raise ValueError(
            f'{file.path} has names that are not known ({", ".join(list(names)[:4])}, '
            f'...); there are tables for the names of {"; ".join(tables)}.'
        )
    if found != family:
        raise ValueError(
            f'{file.path} holds weights of a {found} ({naming} names), but the model '
            f'is {family or "of a family without a table of names"}.'
        )
    check_padding(file)
    return naming, shares[best]
