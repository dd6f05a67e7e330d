"""The bank of fields that textures are cut from: making one takes longer than rendering a picture."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from vidrec.model.pictures.attractors import attractor
from vidrec.model.pictures.canvas import Array
from vidrec.model.pictures.noise import noise
from vidrec.model.pictures.voronoi import voronoi

SIDE = 224
KINDS = ((noise, 160), (voronoi, 48), (attractor, 48))


class Bank:
    """Fields of every kind, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self._fields = [make(rng, SIDE) for make, count in KINDS for _ in range(count)]

    def __len__(self) -> int:
        return len(self._fields)

    def cut(self, number: int, rng: np.random.Generator, height: int, width: int, zoom: float) -> Array:
        """A random rectangle of a field, resized to `height` x `width`; `zoom` texels of the field make one pixel."""
        rows = int(np.clip(height * zoom, 8, SIDE))
        columns = int(np.clip(width * zoom, 8, SIDE))
        top, left = rng.integers(0, SIDE - rows + 1), rng.integers(0, SIDE - columns + 1)
        part = self._fields[number][top : top + rows, left : left + columns]
        return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR))


@lru_cache(maxsize=2)
def bank_of(seed: int) -> Bank:
    """The bank of a seed; kept, since it takes a second to make."""
    return Bank(seed)
