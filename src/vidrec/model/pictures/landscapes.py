"""Family: landscapes: a sky, a ridge, ground in perspective, and things that stand on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidrec.model.pictures.bank import Bank
from vidrec.model.pictures.bodies import Body, body
from vidrec.model.pictures.canvas import UNITS, Array
from vidrec.model.pictures.colour import palette
from vidrec.model.pictures.objects import place
from vidrec.model.pictures.scene import View
from vidrec.model.pictures.texture import Texture, texture


@dataclass(frozen=True, slots=True)
class Landscape:
    """The scene."""

    sky: Texture
    ground: Texture
    ridge: Texture | None
    ridge_field: int
    ridge_height: float
    horizon: float
    """Share of the picture above it."""
    bodies: tuple[Body, ...]
    count: int
    size: float

    def render(self, view: View) -> Array:
        rng, on = view.rng, view.canvas
        picture = np.array(self.sky.paint(on, view.bank, rng), dtype=np.float32, order="C")
        picture *= np.linspace(rng.uniform(0.7, 1.1), rng.uniform(0.8, 1.3), on.height, dtype=np.float32)[:, None, None]
        horizon = UNITS * float(np.clip(self.horizon + rng.normal(0, 0.05), 0.1, 0.9))
        if self.ridge is not None:
            profile = view.bank.cut(self.ridge_field, rng, 1, on.width, 0.6 / on.scale)
            above = on.y > horizon - profile * np.float32(self.ridge_height)
            np.copyto(picture, self.ridge.paint(on, view.bank, rng), where=above[..., None])
        self._lay_ground(picture, horizon, view)
        for number in range(self.count):
            distance = rng.uniform(0.1, 1)
            centre = np.array([rng.uniform(8, UNITS - 8), horizon + (UNITS - horizon) * 0.5 * distance - 4])
            place(picture, self.bodies[number % len(self.bodies)], centre, UNITS * self.size * distance, 0.2, view)
        return picture

    def _lay_ground(self, picture: Array, horizon: float, view: View) -> None:
        """Seen from eye height: what lies further away is smaller, towards the horizon."""
        on = view.canvas
        row = int(np.ceil(horizon * on.scale))
        if row >= on.height:
            return
        plane = np.ascontiguousarray(self.ground.paint(on, view.bank, view.rng), dtype=np.float32)
        below = (on.y[row:] - np.float32(horizon - 3)) / np.float32(UNITS - horizon + 3)
        middle = np.float32(UNITS / 2)
        x = middle + (on.x[row:] - middle) * np.float32(0.3) / np.maximum(below, np.float32(0.1))
        y = middle + np.float32(30) * np.log(np.maximum(on.y[row:] - np.float32(horizon) + 1, 1) / 8)
        scale = np.float32(on.scale)
        picture[row:] = cv2.remap(plane, x * scale, y * scale, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def landscape(rng: np.random.Generator, bank: Bank) -> Landscape:
    """A random landscape with up to five things on it."""
    colours = palette(rng, 6)
    around = palette(rng, 4) if rng.random() < 0.6 else colours
    return Landscape(
        sky=texture(rng, around, bank, flat=0.4),
        ground=texture(rng, around, bank, flat=0.1),
        ridge=texture(rng, colours, bank, flat=0.3) if rng.random() < 0.6 else None,
        ridge_field=int(rng.integers(len(bank))),
        ridge_height=float(rng.uniform(10, 60)),
        horizon=float(rng.uniform(0.25, 0.75)),
        bodies=tuple(body(rng, colours, bank) for _ in range(int(rng.integers(1, 3)))),
        count=int(rng.integers(0, 6)),
        size=float(rng.uniform(0.15, 0.35)),
    )
