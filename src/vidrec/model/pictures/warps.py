"""Family: any other picture, seen as through moving water or swirled."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidrec.model.pictures.canvas import UNITS, Array
from vidrec.model.pictures.scene import Scene, View


@dataclass(frozen=True, slots=True)
class Warped:
    """The scene: what is warped, by which fields, and how much."""

    scene: Scene
    fields: tuple[int, int]
    strength: float
    """Units that a pixel moves at most."""
    zoom: float
    swirl: float
    """Radians that the middle is turned by."""

    def render(self, view: View) -> Array:
        picture = self.scene.render(view)
        on = view.canvas
        dx, dy = (
            view.bank.cut(number, view.rng, on.height, on.width, self.zoom / on.scale) - 0.5 for number in self.fields
        )
        x, y = on.x + dx * self.strength, on.y + dy * self.strength
        if self.swirl:
            x, y = _swirled(x, y, self.swirl)
        scale = np.float32(on.scale)
        return np.asarray(cv2.remap(picture, x * scale, y * scale, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


def _swirled(x: Array, y: Array, turn: float) -> tuple[Array, Array]:
    middle = np.float32(UNITS / 2)
    dx, dy = x - middle, y - middle
    angle = np.float32(turn) * np.exp(-(dx * dx + dy * dy) / np.float32(middle * middle / 2))
    c, s = np.cos(angle), np.sin(angle)
    return middle + c * dx - s * dy, middle + s * dx + c * dy


def warped(rng: np.random.Generator, scene: Scene, fields: int) -> Warped:
    """The scene with a random warp; `fields` is the bank's size."""
    first, second = (int(i) for i in rng.integers(0, fields, 2))
    return Warped(
        scene=scene,
        fields=(first, second),
        strength=float(rng.uniform(4, 30)),
        zoom=float(np.exp(rng.uniform(-1.5, 0))),
        swirl=float(rng.uniform(-2.5, 2.5)) if rng.random() < 0.35 else 0.0,
    )
