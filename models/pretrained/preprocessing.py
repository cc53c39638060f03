"""What pictures weights expect: mean, std, size, interpolation, crop.

Told by the file's own header, by a JSON file beside it, or by the naming's custom.
"""

import json
import pathlib
from collections.abc import Mapping

IMAGENET = {'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225]}
HEADER = 'preprocessing'  # of the weights that we write
RESAMPLING = ('nearest', 'lanczos', 'bilinear', 'bicubic')  # in Pillow's order


def preprocessing_of(
    path: pathlib.Path, metadata: Mapping[str, str], naming: str
) -> dict[str, object]:
    """What the weights of a file expect, as far as that is known.

    Args:
      path: of the file; 'config.json' (timm) and 'preprocessor_config.json' (Hugging
        Face transformers) are looked for beside it.
      metadata: its header.
      naming: 'torchvision' has one custom for all its weights.

    Returns:
      Some of mean and std (in units of [0, 1], a list of channels), size (pixels),
      interpolation and crop (the part of the side that is kept); {} if none is known.
    """
    if HEADER in metadata:
        return json.loads(metadata[HEADER])
    timm = json_of(path.with_name('config.json')).get('pretrained_cfg', {})
    if 'mean' in timm:
        return _known(
            mean=timm['mean'],
            std=timm.get('std'),
            size=(timm.get('input_size') or [None])[-1],
            interpolation=_one_of(RESAMPLING, timm.get('interpolation')),
            crop=timm.get('crop_pct'),
        )
    transformers = json_of(path.with_name('preprocessor_config.json'))
    if 'image_mean' in transformers:
        resample = _one_of(range(len(RESAMPLING)), transformers.get('resample'))
        return _known(
            mean=transformers['image_mean'],
            std=transformers.get('image_std'),
            interpolation=None if resample is None else RESAMPLING[resample],
            **_cropped(transformers),
        )
    return dict(IMAGENET) if naming == 'torchvision' else {}


def _cropped(said: Mapping) -> dict[str, object]:
    """Size and crop: the middle of a larger picture, or a share of it (ConvNeXt's)."""
    size, crop = _side(said.get('size')), said.get('crop_pct')
    middle = _side(said.get('crop_size')) if said.get('do_center_crop') else None
    if size and middle:
        return {'size': middle, 'crop': middle / size}
    return {'size': size, 'crop': crop}


def _side(said) -> int | None:
    """Of 224, {'shortest_edge': 224} or {'height': 224, 'width': 224}."""
    if isinstance(said, Mapping):
        said = said.get('shortest_edge', said.get('height'))
    return said if isinstance(said, int) else None


def _one_of(choices, value):
    return value if value in choices else None


def _known(**found) -> dict[str, object]:
    return {key: value for key, value in found.items() if value is not None}


def json_of(path: pathlib.Path) -> dict:
    """What a JSON file says; {} where there is none, or none that says anything."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
