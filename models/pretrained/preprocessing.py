"""What pictures weights expect: mean, std, size, interpolation, crop.

Told by the file's own header, by a JSON file beside it, or by the naming's custom.
"""

import json
import pathlib
from collections.abc import Mapping

IMAGENET = {'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225]}
HEADER = 'preprocessing'  # of the weights that we write
RESAMPLING = {0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic'}  # as Pillow's


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
    timm = _json(path.with_name('config.json')).get('pretrained_cfg', {})
    if 'mean' in timm:
        return _known(
            mean=timm['mean'],
            std=timm.get('std'),
            size=(timm.get('input_size') or [None])[-1],
            interpolation=timm.get('interpolation'),
            crop=timm.get('crop_pct'),
        )
    transformers = _json(path.with_name('preprocessor_config.json'))
    if 'image_mean' in transformers:
        return _known(
            mean=transformers['image_mean'],
            std=transformers.get('image_std'),
            interpolation=RESAMPLING.get(transformers.get('resample')),
            crop=transformers.get('crop_pct'),
        )
    return dict(IMAGENET) if naming == 'torchvision' else {}


def _known(**found) -> dict[str, object]:
    return {key: value for key, value in found.items() if value is not None}


def _json(path: pathlib.Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
