"""Coordinates of a picture. A picture is 96 units wide and high whatever its side in pixels, so that one program
gives the same picture at every side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
"""A picture: (h, w, 3), 0 to 255 RGB. A field: (h, w), 0 to 1. Coordinates: (h, w), units."""

UNITS = 96.0
SUBPIXEL_BITS = 4
"""OpenCV draws corners at sixteenths of a pixel."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A rectangle of pixels and where each lies in the picture."""

    x: Array
    y: Array
    scale: float
    """Pixels a unit."""
    left: int = 0
    top: int = 0
    """Of the rectangle in the picture, in pixels."""

    @property
    def height(self) -> int:
        return int(self.x.shape[0])

    @property
    def width(self) -> int:
        return int(self.x.shape[1])

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the rectangle in the picture."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def around(self, points: npt.NDArray[np.float64], *, margin: int = 3) -> Canvas | None:
        """The part of this canvas around points (n, 2) in units; None where less than two pixels are left."""
        low = np.floor(points.min(0) * self.scale).astype(int) - margin
        high = np.ceil(points.max(0) * self.scale).astype(int) + margin
        left, top = max(0, int(low[0])), max(0, int(low[1]))
        right, bottom = min(self.width, int(high[0])), min(self.height, int(high[1]))
        if right - left < 2 or bottom - top < 2:
            return None
        rows, columns = slice(top, bottom), slice(left, right)
        return Canvas(self.x[rows, columns], self.y[rows, columns], self.scale, left, top)

    def corners(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Points in units as OpenCV takes them, relative to this rectangle."""
        pixels = points * self.scale - (self.left, self.top)
        return np.asarray(np.round(pixels * (1 << SUBPIXEL_BITS)), dtype=np.int32)


@lru_cache(maxsize=8)
def canvas(side: int) -> Canvas:
    """The whole of a picture of `side` pixels."""
    axis = np.linspace(0, UNITS, side, endpoint=False, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    return Canvas(x, y, side / UNITS)


def turned(angle: float) -> npt.NDArray[np.float64]:
    """Matrix that turns row vectors by an angle."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])
