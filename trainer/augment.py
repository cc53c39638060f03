"""Device augmentation: random changes to a batch inside the jitted step.

Each is a pure function of (key, batch): image float32 in [0, 1], [B, H, W, C], of the
same shape afterwards; labels, masks and all else pass untouched. Bound in a config as
`augment = [@PadCrop(), @FlipLeftRight()]`. Knows nothing of steps or seeds.
"""

import dataclasses
from typing import Annotated

import gin
import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval

Batch = dict[str, jax.Array]


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class PadCrop:
    """Moves each image by up to `pad` pixels in both directions; zeros come in.

    As padding by `pad` zeros and cropping at random (He et al., 2016, section 4.2).
    """

    pad: Annotated[int, Ge(1)] = 4

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """Every image has its own move, uniform over the (2 pad + 1)^2."""
        image, pad = batch['image'], self.pad
        corners = jax.random.randint(key, (len(image), 2), 0, 2 * pad + 1)
        padded = jnp.pad(image, ((0, 0), (pad, pad), (pad, pad), (0, 0)))

        def cut(picture, corner):
            start = (corner[0], corner[1], 0)
            return jax.lax.dynamic_slice(picture, start, image.shape[1:])

        return {**batch, 'image': jax.vmap(cut)(padded, corners)}


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class FlipLeftRight:
    """Mirrors each image with the given probability."""

    probability: Annotated[float, Interval(ge=0, le=1)] = 0.5

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, some reversed along W."""
        image = batch['image']
        flip = jax.random.bernoulli(key, self.probability, (len(image), 1, 1, 1))
        return {**batch, 'image': jnp.where(flip, image[:, :, ::-1], image)}
