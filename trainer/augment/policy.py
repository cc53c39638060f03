"""RandAugment, as one program in which every operation stands once.

Each picture draws `num_ops` different operations. What changes tones is done in the
order below, masked, to those that drew it; what moves pixels is composed to one motion
and one resampling of the batch. So the price does not grow with `num_ops`, and there
is no branch for each picture, which on an accelerator would take all of them anyway.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, get_args

import gin
import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval

from trainer.augment import colour, tones
from trainer.augment.pictures import Batch, Share, carry, pictures, sign, spread
from trainer.augment.warp import about_centre, compose, rotation, shear, warp
from trainer.errors import UserError

HIGHEST = 30  # the magnitude at which the amounts below are reached
ENHANCE = 0.9  # a factor's distance from 1
BITS = 4  # lost
SHEAR = 0.3
DEGREES = 30
SHIFT = 150 / 331  # of a side

Operation = Literal[
    'identity',
    'autocontrast',
    'equalize',
    'posterize',
    'solarize',
    'saturation',
    'contrast',
    'brightness',
    'sharpness',
    'shear_x',
    'shear_y',
    'rotate',
    'translate_x',
    'translate_y',
]
OPERATIONS = get_args(Operation)
MOTIONS = OPERATIONS[-5:]


def _enhance(adjust: Callable) -> Callable:
    return lambda image, strength, way: adjust(image, 1 + ENHANCE * strength * way)


# Each takes an image, the strength in [0, 1], and -1 or 1 for each picture.
TONES: dict[str, Callable] = {
    'autocontrast': lambda image, strength, way: tones.autocontrast(image),
    'equalize': lambda image, strength, way: tones.equalize(image),
    'posterize': lambda image, strength, way: tones.posterize(
        image, 8 - round(BITS * strength)
    ),
    'solarize': lambda image, strength, way: tones.solarize(image, 1 - strength),
    'saturation': _enhance(colour.adjust_saturation),
    'contrast': _enhance(colour.adjust_contrast),
    'brightness': _enhance(colour.adjust_brightness),
    'sharpness': _enhance(tones.sharpen),
}


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandAugment:
    """A few random operations of one strength on each picture (Cubuk et al., 2020).

    Labels that lie in the picture move along. Shears and rotations are around the
    middle of the picture, and black comes in.

    Attributes:
      num_ops: operations on each picture, all different.
      magnitude: the strength, from 0 to 30: at 30 pictures turn by 30 degrees.
      operations: to draw from. 'equalize' takes longer than all others together.
      min_visible: objects that keep less of their box are dropped.
    """

    num_ops: Annotated[int, Ge(1)] = 2
    magnitude: Annotated[float, Interval(ge=0, le=HIGHEST)] = 9
    operations: Sequence[Operation] = OPERATIONS
    min_visible: Share = 0.1

    def __post_init__(self):
        if self.num_ops > len(self.operations):
            raise UserError(
                f'RandAugment.num_ops is {self.num_ops}, but there are only '
                f'{len(self.operations)} operations to draw from.'
            )

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, each with operations of its own."""
        chosen, way = self.draw(key, len(pictures(batch, self)))
        image, strength = batch['image'], self.magnitude / HIGHEST
        for name, change in TONES.items():
            if name in chosen:
                changed = change(image, strength, way[name])
                image = jnp.where(spread(chosen[name]), changed, image)
        batch = {**batch, 'image': image}
        return self._moved(batch, chosen, way) if {*MOTIONS} & {*chosen} else batch

    def draw(self, key: jax.Array, count: int) -> tuple[dict, dict]:
        """Which pictures have each operation, bool [B], and in which direction, ±1."""
        choice_key, way_key = jax.random.split(key)
        shape = (len(self.operations), count)
        drawn = jax.random.uniform(choice_key, shape)
        chosen = jnp.argsort(jnp.argsort(drawn, axis=0), axis=0) < self.num_ops
        way = sign(way_key, shape)
        return (
            dict(zip(self.operations, chosen, strict=True)),
            dict(zip(self.operations, way, strict=True)),
        )

    def _moved(self, batch, chosen, way):
        size, height, width, _ = batch['image'].shape
        strength, none = self.magnitude / HIGHEST, jnp.zeros(size)

        def amount(name, most):
            return (
                chosen[name] * way[name] * (strength * most) if name in chosen else none
            )

        turn = compose(
            shear(amount('shear_x', SHEAR), amount('shear_y', SHEAR)),
            rotation(amount('rotate', math.radians(DEGREES))),
        )
        x, y = (
            amount('translate_x', SHIFT * width),
            amount('translate_y', SHIFT * height),
        )
        matrix = about_centre(height, width, turn, jnp.stack([x, y], axis=-1))

        def move(values, outside):
            return warp(values, matrix, outside)

        return carry(batch, move, matrix, self.min_visible)
