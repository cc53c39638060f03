"""A 2-D convolution that stays fast on small maps; knows nothing of layers.

XLA runs a convolution on the CPU through naive loops where a map (or, in its
gradient, the map of the outputs) is smaller than the kernel: 3x3 on 2x2 maps is
measured at 6 GFLOP/s against 300 of a matrix product. There every output position
becomes one product of the pixels it sees with the taps that see them. Taps that
would only see padding are never touched, so a 3x3 kernel on a 1x1 map costs as
much as a 1x1 kernel. A 1x1 kernel is one product for all positions, on maps of
any size: its gradients take a third of XLA's time at 56x56, 256 to 64 channels.
A kernel larger than all that the maps hold is one product with the pixels that each
position sees: XLA turns such a kernel round in a naive loop for the gradient.
A kernel for each channel alone is a sum of shifted maps (`models.depthwise`).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from models.depthwise import depthwise, shifted
from models.rows import as_rows

CHANNELS_LAST = ('NHWC', 'HWIO', 'NHWC')
# Measured with 3x3 kernels: 9 positions (3x3 maps) take 0.7 of XLA's time, 16 take 1.3.
MOST_POSITIONS = 9
# Shifted maps take a second to compile; fewer products than this never repay it.
FEWEST_PRODUCTS = 2**20
UNPLAIN = ('precision', 'preferred_element_type', 'out_sharding')


def convolve(images, kernel, strides=(1, 1), padding='SAME', **options):
    """Convolves maps with a kernel: `lax.conv_general_dilated`, faster on small maps.

    A drop-in for `nnx.Conv(conv_general_dilated=convolve)`. The sum runs over the
    same products in another order, so results agree to rounding; any derivative
    exists. Which way is taken depends on shapes and on the default backend alone.

    Args:
      images: `[B, H, W, C]`.
      kernel: `[kh, kw, C, D]`.
      strides: a pair.
      padding: `'SAME'`, `'VALID'` or a pair of (low, high) pairs.
      **options: what else `lax.conv_general_dilated` takes; anything that is not
        a plain convolution of channels-last maps goes to it untouched.

    Returns:
      `[B, H', W', D]`, in the dtype of the images.
    """
    if jax.default_backend() != 'cpu' or not _is_plain(images, kernel, options):
        return _lax_convolve(images, kernel, strides, padding, options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(
            images.shape[1:3], kernel.shape[:2], strides, padding
        )
    if options.get('feature_group_count', 1) > 1:
        return depthwise(images, kernel, strides, padding)
    if kernel.shape[:2] == (1, 1) and not any(map(any, padding)):
        return _pointwise(images, kernel, strides)
    rows, columns = (
        _windows(size, taps, stride, pads)
        for size, taps, stride, pads in zip(
            images.shape[1:3], kernel.shape[:2], strides, padding, strict=True
        )
    )
    if len(rows) * len(columns) <= MOST_POSITIONS and None not in rows + columns:
        return _by_position(images, kernel, rows, columns)
    if _is_mostly_kernel(images, kernel, len(rows) * len(columns)):
        return _by_patches(images, kernel, strides, padding)
    return _lax_convolve(images, kernel, strides, padding, options)


def _lax_convolve(images, kernel, strides, padding, options):
    options = {'dimension_numbers': CHANNELS_LAST, **options}
    return lax.conv_general_dilated(images, kernel, strides, padding, **options)


def _is_plain(images, kernel, options) -> bool:
    """Whether these are channels-last maps, in one group or one each, not dilated."""
    numbers = options.get('dimension_numbers', CHANNELS_LAST)
    dilations = (options.get('lhs_dilation'), options.get('rhs_dilation'))
    groups = options.get('feature_group_count', 1)
    return (
        images.ndim == 4
        and lax.conv_dimension_numbers(images.shape, kernel.shape, CHANNELS_LAST)
        == lax.conv_dimension_numbers(images.shape, kernel.shape, numbers)
        and (groups == 1 or _is_worth_shifting(images, kernel, groups))
        and options.get('batch_group_count', 1) == 1
        and all(dilation is None or set(dilation) == {1} for dilation in dilations)
        and all(options.get(name) is None for name in UNPLAIN)
    )


def _is_worth_shifting(images, kernel, groups: int) -> bool:
    """Whether each channel has its own kernel, and there is enough to compute.

    A batch of any size, as in a program that is exported, counts as one image.
    """
    batch, *image = images.shape
    count = batch if isinstance(batch, int) else 1
    alone = groups == image[-1] == kernel.shape[-1]
    return alone and count * math.prod((*image, *kernel.shape[:2])) >= FEWEST_PRODUCTS


def _is_mostly_kernel(images, kernel, positions: int) -> bool:
    """Whether the pixels seen from all positions take no more room than the kernel.

    Measured with 3x3 kernels, 512 outputs: in 256 to 512 positions of all images the
    forward pass takes 0.77 to 0.95 of XLA's time, the gradients 0.55 to 0.86. Narrower
    numbers stay with XLA: here what each tap gives to a pixel would be rounded alone.
    """
    batch, num_outputs = images.shape[0], kernel.shape[-1]
    exact = images.dtype.itemsize >= 4
    return exact and isinstance(batch, int) and 0 < batch * positions <= num_outputs


def _windows(size: int, taps: int, stride: int, pads: tuple[int, int]):
    """Along one axis, for each output: (pixels it sees, taps that see them), as slices.

    None stands for an output that sees nothing but padding.
    """
    low, high = pads
    windows = []
    for start in range(-low, size + high - taps + 1, stride):
        first, last = max(start, 0), min(start + taps, size)
        seen = slice(first, last), slice(first - start, last - start)
        windows.append(seen if first < last else None)
    return windows


def _pointwise(images, kernel, strides):
    """A 1x1 kernel without padding: one product over the channels."""
    return _product(images[:, :: strides[0], :: strides[1]], kernel[0, 0])


def _by_position(images, kernel, rows, columns):
    """One matrix product for each output position; sums are float32 or better.

    Cast before they are cut: else what each position gives to a pixel or a tap is
    rounded alone in the gradients.
    """
    batch, num_outputs = images.shape[0], kernel.shape[-1]
    dtype, exact = images.dtype, jnp.promote_types(images.dtype, jnp.float32)
    images, kernel = images.astype(exact), kernel.astype(exact)
    products = [
        images[:, pixels_y, pixels_x].reshape(batch, -1)
        @ kernel[taps_y, taps_x].reshape(-1, num_outputs)
        for pixels_y, taps_y in rows
        for pixels_x, taps_x in columns
    ]
    maps = jnp.stack(products, axis=1).astype(dtype)
    return maps.reshape(batch, len(rows), len(columns), num_outputs)


def _by_patches(images, kernel, strides, padding):
    """One matrix product of the pixels that each position sees, with all taps."""
    padded = jnp.pad(images, ((0, 0), *padding, (0, 0)))
    taps = kernel.shape[:2]
    seen = [shifted(padded, tap, taps, strides) for tap in np.ndindex(taps)]
    return _product(
        jnp.concatenate(seen, axis=-1), kernel.reshape(-1, kernel.shape[-1])
    )


def _product(maps, matrix):
    """`[B, H, W, C] @ [C, D] -> [B, H, W, D]`."""
    return (as_rows(maps) @ matrix).reshape(*maps.shape[:-1], matrix.shape[-1])
