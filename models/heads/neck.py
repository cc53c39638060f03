"""What heads with positions share: the one map, of all a backbone gives, they see."""

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge
from flax import nnx

from models.arguments import check_at_least_one, check_choice
from models.fpn import FPN

Width = Annotated[int, Ge(1)]
Stride = Annotated[int, Ge(1)]


class Neck(nnx.Module):
    """A backbone's maps -> the finest of them `[B, H/s, W/s, D]`, with or without FPN.

    Attributes:
      channels: D of the map.
      stride: s, pixels of the image to a cell of the map.
    """

    def __init__(
        self,
        owner: str,
        channels: Sequence[int],
        strides: Sequence[int | None],
        fpn: int | None,
        output_stride: int | None = None,
        *,
        dtype='float32',
        rngs: nnx.Rngs,
    ):
        """Builds the neck.

        Args:
          owner: the head, for messages.
          channels: of each map, fine to coarse.
          strides: of each map; None for what has no positions, which is left out.
          fpn: width of a feature pyramid that merges the maps, or None.
          output_stride: s; finer maps are left out. The finest one's unless said.
          dtype: of the activations.
          rngs: draws the weights from `params`.

        Raises:
          ValueError: for a width below 1, a stride that no map has, or no maps.
        """
        check_at_least_one(owner, fpn=1 if fpn is None else fpn)
        self.owner = owner
        self.chosen = _chosen(owner, strides, output_stride)
        kept = [(channels[index], strides[index]) for index in self.chosen]
        finest, self.stride = kept[0]
        self.channels = fpn or finest
        kept = zip(*kept, strict=True)
        options = {'levels': 1, 'dtype': dtype, 'rngs': rngs}
        self.fpn = FPN(*kept, fpn, **options) if fpn else None

    def __call__(self, maps):
        """List of maps -> `[B, H/s, W/s, D]`"""
        chosen = [maps[index] for index in self.chosen]
        if chosen[0].ndim != 4:
            raise ValueError(_needs_maps(self.owner))
        return self.fpn(chosen)[0] if self.fpn else chosen[0]


def _chosen(owner: str, strides, output_stride: int | None) -> tuple[int, ...]:
    """Which maps have positions, from the wanted stride on."""
    placed = [index for index, stride in enumerate(strides) if stride]
    if not placed:
        raise ValueError(_needs_maps(owner))
    choices = [strides[index] for index in placed]
    if output_stride is not None:
        check_choice(owner, 'output_stride', output_stride, choices)
        placed = placed[choices.index(output_stride) :]
    return tuple(placed)


def _needs_maps(owner: str) -> str:
    return (
        f'{owner} needs maps [B, H, W, D], and this backbone gives only vectors; take '
        f'one with positions, such as UNet or ResNet, or a head that needs none.'
    )
