"""An image's objects as they were annotated, and their pixels; knows no file."""

import dataclasses
import functools

import numpy as np

from trainer.data.polygons import fill
from trainer.data.run_lengths import decode_runs


@dataclasses.dataclass
class Thing:
    """An annotation: (y0, x0, y1, x1), class, pixels, and what else it has."""

    identity: object
    label: int
    box: tuple[float, float, float, float]
    area: float
    crowd: bool
    keypoints: np.ndarray | None
    outline: object

    def mask(self, height: int, width: int) -> np.ndarray:
        """Its pixels, [H, W] bool."""
        if isinstance(self.outline, dict):
            return decode_runs(self.outline['counts'], height, width)
        parts = [fill(polygon, height, width) for polygon in self.outline]
        return functools.reduce(np.logical_or, parts)


@dataclasses.dataclass
class Record:
    """An image: its id, name, path, height, width, bytes, and what is on it."""

    identity: object
    name: str
    path: str
    height: int
    width: int
    size: int
    things: list[Thing] = dataclasses.field(default_factory=list)

    def paint(self) -> np.ndarray:
        """Class of each pixel plus one, 0 where nothing is; small over large."""
        found = np.zeros((self.height, self.width), np.uint8)
        for thing in sorted(self.things, key=lambda thing: -thing.area):
            if thing.outline is not None:
                found[thing.mask(self.height, self.width)] = thing.label + 1
        return found
