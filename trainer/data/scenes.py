"""Draws scenes of geometric objects whose labels are exact; a function of its rng.

Knows outlines, colours and pixels; which label fields are asked for is not known.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from trainer.data.polygons import bounding_box, fill

TILT = math.radians(20)  # an object is turned by no more, and keeps its look
PLACES = 50  # tried for an object before a scene goes without it
CORNERS = ('top_left', 'top_right', 'bottom_right', 'bottom_left')
SIDES = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])  # of each, (y, x)
FLIPPED_CORNERS = ((0, 1), (3, 2))


def _ring(count: int, *radii: float) -> np.ndarray:
    """Points around the origin, the first at the top, [count, 2] of (y, x)."""
    angle = 2 * np.pi * np.arange(count) / count
    radius = np.resize(radii, count)
    return np.stack([-radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


ARMS = [(-1, -0.35), (-1, 0.35), (-0.35, 0.35), (-0.35, 1), (0.35, 1), (0.35, 0.35)]
OUTLINES = {
    'circle': _ring(32, 1),
    'square': np.array([(-0.85, -0.85), (-0.85, 0.85), (0.85, 0.85), (0.85, -0.85)]),
    'triangle': _ring(3, 1),
    'star': _ring(10, 1, 0.42),
    'cross': np.array(ARMS + [(-y, -x) for y, x in ARMS]),
}


@dataclasses.dataclass(frozen=True)
class Thing:
    """An object in a scene.

    Attributes:
      label: its place in OUTLINES.
      centre: (y, x), pixels.
      radius: pixels; the object lies in the circle of this radius.
      corners: its outline, [V, 2] of (y, x), pixels.
      mask: its pixels, [H, W] bool.
    """

    label: int
    centre: tuple[float, float]
    radius: float
    corners: np.ndarray
    mask: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(y0, x0, y1, x1) that holds its pixels exactly."""
        return bounding_box(self.mask)


def scatter(
    rng: np.random.RandomState, size: int, labels, make: Callable | None = None
) -> list[Thing]:
    """Objects that do not touch, one for each label that finds room.

    Args:
      rng: all chance.
      size: of the square scene, pixels.
      labels: class of each object.
      make: draws one, as `outlined` does; that, unless said.
    """
    make = make or outlined
    things: list[Thing] = []
    largest = 0.36 if len(labels) == 1 else 0.2
    for label in labels:
        for _ in range(PLACES if things else 1):
            radius = size * rng.uniform(largest / 1.8, largest)
            centre = tuple(rng.uniform(radius, size - radius, 2))
            if all(_apart(centre, radius, other) for other in things):
                things.append(make(rng, size, label, centre, radius))
                break
    return things


def quadrilateral(rng: np.random.RandomState, size: int) -> Thing:
    """Four corners, one in each quarter around the middle, in the order of CORNERS."""
    centre = rng.uniform(0.45 * size, 0.55 * size, 2)
    corners = centre + SIDES * rng.uniform(0.16 * size, 0.42 * size, (4, 2))
    return Thing(0, tuple(centre), 0.6 * size, corners, fill(corners, size, size))


def outlined(rng, size, label, centre, radius) -> Thing:
    """The outline of a class, tilted a little."""
    angle = rng.uniform(-TILT, TILT)
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    outline = list(OUTLINES.values())[label]
    outline = outline / np.linalg.norm(outline, axis=-1).max()
    corners = centre + radius * outline @ turn
    return Thing(int(label), centre, radius, corners, fill(corners, size, size))


def cornered(rng, size, label, centre, radius) -> Thing:
    """Four corners around a centre, in the order of CORNERS, within a circle."""
    sides = rng.uniform(0.35 * radius, 0.7 * radius, (4, 2))
    corners = np.add(centre, SIDES * sides)
    return Thing(int(label), centre, radius, corners, fill(corners, size, size))


def paint(rng, size: int, channels: int, noise: int, things) -> np.ndarray:
    """A dark, noisy ground with a bright object for each thing, [size, size, C] uint8.

    Colours are independent of classes: only the outline tells them.
    """
    image = np.empty((size, size, channels), np.int16)
    image[:] = rng.randint(20, 100, channels)
    for thing in things:
        image[thing.mask] = rng.randint(150, 245, channels)
    image += rng.randint(-noise, noise + 1, image.shape).astype(np.int16)
    return np.clip(image, 0, 255).astype(np.uint8)


def _apart(centre, radius, other):
    return math.dist(centre, other.centre) > radius + other.radius
