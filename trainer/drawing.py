"""Draws labels and findings into pictures: numpy arrays in, RGB pictures out.

Knows the fields of an example that docs/design.md lists, and what tasks decode under
the same names; no task, no file and no net.
"""

import colorsys
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trainer.data.source import IGNORE

READABLE = 160  # pixels of the short side, to which small pictures are enlarged
TINT = 0.45  # share of its class's colour in a pixel
MARGIN = 4
GOLDEN = 0.618034  # turns of the hue, after which colours never come back


@functools.cache
def colours() -> np.ndarray:
    """A colour for each class or keypoint, [256, 3] uint8; 0 is dark, for background.

    Neighbours differ in hue by the golden ratio, and every other one is darker.
    """
    hues = [
        colorsys.hsv_to_rgb((number * GOLDEN) % 1, 0.85, 1 - 0.3 * (number % 2))
        for number in range(255)
    ]
    return np.concatenate([[[0, 0, 0]], 255 * np.array(hues)]).astype(np.uint8)


def draw(
    image: np.ndarray,
    fields: Mapping[str, np.ndarray],
    class_names: Sequence[str] = (),
    least: float = 0.3,
) -> np.ndarray:
    """A picture with what lies in it drawn in, enlarged where it is small.

    Args:
      image: [H, W, C] uint8, grey or RGB.
      fields: of it are drawn, in pixels of the image: `segmentation` [H, W], tinted but
        for class 0; `boxes` [N, 4] with `box_labels` [N] and perhaps `scores` [N];
        `keypoints` [..., K, 3], those whose third number is above 0.
      class_names: of the boxes.
      least: boxes of a lower score are left out, with the keypoints in them.

    Returns:
      RGB, [h, w, 3] uint8, h and w the same multiple of H and W.
    """
    picture = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    if 'segmentation' in fields:
        picture = tinted(picture, fields['segmentation'])
    scale = max(1, -(-READABLE // min(picture.shape[:2])))
    picture = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    canvas = Image.fromarray(np.ascontiguousarray(picture))
    pen = ImageDraw.Draw(canvas)
    if 'boxes' in fields:
        _draw_boxes(pen, fields, class_names, scale, least)
    if 'keypoints' in fields:
        keypoints = fields['keypoints']
        if 'scores' in fields and 'boxes' in fields:
            keypoints = keypoints[fields['scores'] >= least]
        _draw_points(pen, keypoints, scale)
    return np.asarray(canvas)


def tinted(picture: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] with each pixel in the colour of its class [H, W], but 0."""
    tint = (1 - TINT) * picture + TINT * colours()[classes]
    drawn = (classes != 0) & (classes != IGNORE)
    return np.where(drawn[..., None], tint, picture).astype(np.uint8)


def captioned(picture: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """A picture with lines of text below it, cut off where they are too long."""
    height, width = picture.shape[:2]
    step = _font().size + MARGIN
    canvas = Image.new('RGB', (width, height + step * len(lines) + MARGIN), 'white')
    canvas.paste(Image.fromarray(picture))
    pen = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        pen.text((MARGIN, height + number * step), line, 'black', _font())
    return np.asarray(canvas)


def sheet(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Rows of pictures as one, on white, [H, W, 3] uint8."""
    lines = [_joined(row, axis=1) for row in rows]
    return _joined(lines, axis=0)


def _joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Side by side (axis 1) or one below the other (axis 0), with margins."""
    across = 1 - axis
    longest = max(picture.shape[across] for picture in pictures)
    padded = []
    for picture in pictures:
        margins = [(0, 0), (0, 0), (0, 0)]
        margins[across] = (0, longest - picture.shape[across])
        margins[axis] = (0, MARGIN)
        padded.append(np.pad(picture, margins, constant_values=255))
    return np.concatenate(padded, axis=axis)


def _draw_boxes(pen, fields, class_names, scale: int, least: float) -> None:
    labels = fields['box_labels']
    scores = fields.get('scores', np.ones(len(labels)))
    for box, label, score in zip(fields['boxes'], labels, scores, strict=True):
        if label < 0 or score < least:
            continue
        y0, x0, y1, x1 = (float(place) * scale for place in box)
        colour = tuple(colours()[1 + label % 255].tolist())
        ends = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
        pen.rectangle(ends, outline=colour, width=2)
        name = class_names[label] if label < len(class_names) else str(label)
        said = f'{name} {score:.2f}' if 'scores' in fields else name
        above = max(0.0, y0 - _font().size - 1)
        outline = {'stroke_width': 1, 'stroke_fill': 'black'}
        pen.text((x0 + 2, above), said, colour, _font(), **outline)


def _draw_points(pen, keypoints: np.ndarray, scale: int) -> None:
    radius = max(2, scale)
    for points in keypoints.reshape(-1, *keypoints.shape[-2:]):
        for number, (x, y, seen) in enumerate(points.tolist()):
            if seen > 0:
                colour = tuple(colours()[1 + number % 255].tolist())
                place = x * scale, y * scale
                pen.circle(place, radius, fill=colour, outline='white')


@functools.cache
def _font() -> ImageFont.ImageFont:
    return ImageFont.load_default(11)
