"""Mixup and CutMix: each picture mixed with its neighbour in the batch, and its label.

A mixed batch has, next to `label` [B], the one that has the larger share, `label_b` [B]
and `mix` [B] in [0.5, 1], the share of `label`; `labels` and `target` become the
weighted means of both. Nothing is mixed with padding.
"""

import dataclasses
from typing import Annotated

import gin
import jax
import jax.numpy as jnp
from annotated_types import Interval

from trainer.augment.pictures import Batch, Share, coin, inside, pictures, spread
from trainer.errors import UserError
from trainer.motion import PLACED

Alpha = Annotated[float, Interval(gt=0, le=100)]
TINY = 1e-30


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixup:
    """A weighted mean of two pictures (Zhang et al., 2018).

    Attributes:
      alpha: shares are drawn from Beta(alpha, alpha): the larger, the nearer to halves.
      probability: of each picture to be mixed at all.
    """

    alpha: Alpha = 0.2
    probability: Share = 1.0

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] or features [B, F] -> the same, mixed."""
        coin_key, share_key = jax.random.split(key)
        share = symmetric_beta(share_key, self.alpha, len(batch['image']))
        share = jnp.where(coin(coin_key, self.probability, batch), share, 1)
        return mixed(batch, share.reshape(-1, *[1] * (batch['image'].ndim - 1)), self)


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class CutMix:
    """A box of one picture pasted into the other (Yun et al., 2019).

    Attributes:
      alpha: the box's area is drawn from Beta(alpha, alpha), before the edge of the
        picture cuts it; labels weigh by the pixels that are there.
      probability: of each picture to be mixed at all.
    """

    alpha: Alpha = 1.0
    probability: Share = 1.0

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, mixed."""
        coin_key, box_key = jax.random.split(key)
        boxes = self.draw(box_key, pictures(batch, self).shape)
        chosen = coin(coin_key, self.probability, batch)
        boxes = jnp.where(chosen[:, None], boxes, 0)
        own = ~inside(boxes, *batch['image'].shape[1:3])[..., None]
        return mixed(batch, own.astype(jnp.float32), self)

    def draw(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """(y0, x0, y1, x1) of the box that is pasted, whole pixels, [B, 4]."""
        share_key, place_key = jax.random.split(key)
        share = symmetric_beta(share_key, self.alpha, shape[0])
        limits = jnp.array(shape[1:3], jnp.float32)
        sides = jnp.floor(jnp.sqrt(1 - share)[:, None] * limits)
        middle = jnp.floor(jax.random.uniform(place_key, (shape[0], 2)) * limits)
        start = middle - sides // 2
        ends = [jnp.clip(start, 0, limits), jnp.clip(start + sides, 0, limits)]
        return jnp.concatenate(ends, axis=-1).astype(jnp.int32)


@gin.register
@dataclasses.dataclass(frozen=True, kw_only=True)
class MixupOrCutMix:
    """One of the two for each picture: a picture is mixed once only.

    Attributes:
      cutmix: the probability of CutMix instead of Mixup, where a picture is mixed.
      mixup_alpha, cutmix_alpha: see Mixup and CutMix.
      probability: of each picture to be mixed at all.
    """

    cutmix: Share = 0.5
    mixup_alpha: Alpha = 0.8
    cutmix_alpha: Alpha = 1.0
    probability: Share = 1.0

    def __call__(self, key: jax.Array, batch: Batch) -> Batch:
        """[B, H, W, C] -> the same, mixed."""
        shape = pictures(batch, self).shape
        which_key, coin_key, share_key, box_key = jax.random.split(key, 4)
        boxes = CutMix(alpha=self.cutmix_alpha).draw(box_key, shape)
        cut = 1 - inside(boxes, *shape[1:3]).astype(jnp.float32)[..., None]
        share = spread(symmetric_beta(share_key, self.mixup_alpha, shape[0]))
        own = jnp.where(spread(coin(which_key, self.cutmix, batch)), cut, share)
        chosen = spread(coin(coin_key, self.probability, batch))
        return mixed(batch, jnp.where(chosen, own, 1), self)


def mixed(batch: Batch, own: jax.Array, who: object) -> Batch:
    """The batch with each example mixed with the one before it.

    The neighbour, not a random one: batches are shuffled, and of a batch that lies on
    several devices only one picture each has to travel.

    Args:
      batch: its `image` and its labels are mixed.
      own: the share that each pixel has of its own picture, as `image` or with sides of
        one.
      who: named in errors.
    """
    _refuse(batch, type(who).__name__)
    before = {field: jnp.roll(batch[field], 1, axis=0) for field in FIELDS & {*batch}}
    both = batch['mask'] & before['mask']
    own = jnp.where(both.reshape(-1, *[1] * (own.ndim - 1)), own, 1)
    share = jnp.mean(own, axis=tuple(range(1, own.ndim)))
    image = own * batch['image'] + (1 - own) * before['image']
    return {**batch, 'image': image, **_mixed_labels(batch, before, share)}


FIELDS = {'image', 'mask', 'label', 'labels', 'target'}


def _mixed_labels(batch, before, share):
    found = {}
    for field in ('labels', 'target'):
        if field in batch:
            own = share[:, None]
            found[field] = own * batch[field] + (1 - own) * before[field]
    if 'label' in batch:
        a, b = batch['label'], before['label']
        first = share >= 0.5
        found['label'] = jnp.where(first, a, b)
        found['label_b'] = jnp.where(first, b, a)
        found['mix'] = jnp.maximum(share, 1 - share)
    return found


def _refuse(batch, name):
    for field in PLACED:
        if field in batch:
            raise UserError(
                f'{name} mixes the labels of whole pictures, but this data has '
                f'`{field}`; take @{name}() out of Images.augment.'
            )
    if 'mix' in batch:
        raise UserError(
            f'{name} comes after another that mixes pictures, and a picture is mixed '
            f'once; use one of them, or @MixupOrCutMix() for both.'
        )


def symmetric_beta(key: jax.Array, alpha: float, count: int) -> jax.Array:
    """Draws from Beta(alpha, alpha), [count].

    By the polar method for Student's t (Bailey, 1994; Devroye, 1996): exact, without
    the loops of rejection that a draw from two gammas compiles to.
    """
    radius, angle = jax.random.uniform(key, (2, count), minval=TINY)
    near = radius ** (1 / alpha)
    cosine = jnp.cos(2 * jnp.pi * angle)
    length = jnp.sqrt(near + (1 - near) * cosine**2 + TINY)
    return 0.5 + 0.5 * jnp.sqrt(1 - near) * cosine / length
