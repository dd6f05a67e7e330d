"""Family: a texture that fills the picture, or two with a border between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidrec.model.pictures.bank import Bank
from vidrec.model.pictures.canvas import Array
from vidrec.model.pictures.colour import palette
from vidrec.model.pictures.scene import View
from vidrec.model.pictures.texture import Texture, texture


@dataclass(frozen=True, slots=True)
class Surface:
    """The scene."""

    first: Texture
    second: Texture | None
    border: int
    """Number of the field that decides where the second one shows."""
    level: float
    zoom: float

    def render(self, view: View) -> Array:
        on = view.canvas
        picture = np.array(self.first.paint(on, view.bank, view.rng), dtype=np.float32, order="C")
        if self.second is not None:
            decides = view.bank.cut(self.border, view.rng, on.height, on.width, self.zoom / on.scale)
            above = np.clip((decides - self.level) * 12 + 0.5, 0, 1)[..., None]
            picture += (self.second.paint(on, view.bank, view.rng) - picture) * above
        return picture


def surface(rng: np.random.Generator, bank: Bank) -> Surface:
    """A random surface; six of ten have a second texture."""
    colours = palette(rng, 6)
    return Surface(
        first=texture(rng, colours, bank, flat=0.05),
        second=texture(rng, colours, bank, flat=0.2) if rng.random() < 0.6 else None,
        border=int(rng.integers(len(bank))),
        level=float(rng.uniform(0.3, 0.7)),
        zoom=float(np.exp(rng.uniform(-1.5, 0.3))),
    )
