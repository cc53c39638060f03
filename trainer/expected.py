"""Pictures cut and resized as the weights of a run expect them, where nobody says how.

Fills in what the host transforms of a config leave open; knows no weight file.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from trainer.transforms import CenterCrop, RandomResizedCrop, ResizeShortSide

KNOWN = {kind.__name__: kind for kind in (ResizeShortSide, CenterCrop)}
OPEN = ('size', 'interpolation')


def as_weights_expect(images, expected: Mapping):
    """An `Images` whose transforms say every size and interpolation that is known.

    A picture is resized so that the crop after it is the share of its short side that
    the weights saw. Where there are no transforms and files have a default size, they
    are those of an evaluation.

    Args:
      images: of which only `transforms` and `size` are looked at and changed.
      expected: some of size (pixels), crop (share) and interpolation.
    """
    if not {'size', 'crop', 'interpolation'} & set(expected):
        return images
    transforms = images.transforms
    if not transforms:
        said, default = images.size, images.origin.default_size
        if not (said or default):
            return images  # as they are
        if 'size' not in expected:
            said = said or default
        transforms = ResizeShortSide(size=said), CenterCrop(size=said)
    filled = tuple(_filled(transforms, expected))
    return dataclasses.replace(images, transforms=filled, size=None)


def as_recorded(images, flat: Mapping, path: str):
    """An `Images` with the transforms that a run was fed through.

    Args:
      images: as the config has it.
      flat: the run's flat config.
      path: of these images there, such as 'train_data'.
    """

    def recorded(place: int) -> dict:
        found = {key: flat.get(f'{path}.transforms.{place}.{key}') for key in OPEN}
        return {key: value for key, value in found.items() if value is not None}

    kinds = [flat.get(f'{path}.transforms.{place}', '')[1:] for place in range(2)]
    if images.transforms:
        said = [_with(t, **recorded(i)) for i, t in enumerate(images.transforms)]
    elif kinds == list(KNOWN):
        said = [KNOWN[kind](**recorded(i)) for i, kind in enumerate(kinds)]
    else:
        return images
    return dataclasses.replace(images, transforms=tuple(said), size=None)


def open_size(images) -> bool:
    """Whether an `Images` leaves a size of its pictures to the weights."""
    if images.transforms:
        return any(getattr(each, 'size', 0) is None for each in images.transforms)
    return not images.size and bool(images.origin.default_size)


def expectation(transforms: Sequence[Callable]) -> dict[str, object]:
    """Size, crop and interpolation that transforms stand for; {} of other ones."""
    kinds = {type(transform): transform for transform in transforms}
    if not {ResizeShortSide, CenterCrop} <= set(kinds):
        return {}
    size, resize = kinds[CenterCrop].pixels, kinds[ResizeShortSide]
    found = {'size': size, 'crop': size / resize.pixels}
    chosen = resize.interpolation
    return {**found, 'interpolation': chosen} if chosen else found


def _filled(transforms: Sequence[Callable], expected: Mapping):
    """Each transform, from the last to the first: a crop tells the resize before it."""
    size, share = expected.get('size'), expected.get('crop')
    interpolation = expected.get('interpolation')
    filled, crop = [], None
    for transform in reversed(transforms):
        if isinstance(transform, CenterCrop | RandomResizedCrop):
            transform = _with(transform, size=size, interpolation=interpolation)
            crop = transform.pixels
        elif isinstance(transform, ResizeShortSide):
            short = size and max(size, crop or 0)
            if crop and share:
                short = round(crop / share)
            transform = _with(transform, size=short, interpolation=interpolation)
        filled.append(transform)
    return filled[::-1]


def _with(transform: Callable, **open_values) -> Callable:
    """The transform with the values for which it has a field that says nothing."""
    if not isinstance(transform, ResizeShortSide | CenterCrop | RandomResizedCrop):
        return transform
    unsaid = {
        key: value
        for key, value in open_values.items()
        if value is not None and getattr(transform, key, value) is None
    }
    return dataclasses.replace(transform, **unsaid) if unsaid else transform
