"""Family: one object or several before a background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vidrec.model.pictures.bank import Bank
from vidrec.model.pictures.bodies import MIRRORED, Body, Pose, body
from vidrec.model.pictures.canvas import UNITS, Array, turned
from vidrec.model.pictures.colour import palette
from vidrec.model.pictures.scene import View
from vidrec.model.pictures.texture import Texture, texture

BACKGROUND_FLAT = 0.2


@dataclass(frozen=True, slots=True)
class Objects:
    """The scene: what stands where, how much it may turn, and before what."""

    bodies: tuple[Body, ...]
    count: int
    size: float
    turns: float
    """Largest turn to either side, in radians."""
    background: Texture
    keeps_background: bool

    def render(self, view: View) -> Array:
        own = view.first or self.keeps_background
        backdrop = self.background if own else texture(view.rng, palette(view.rng, 4), view.bank, flat=BACKGROUND_FLAT)
        picture = np.array(backdrop.paint(view.canvas, view.bank, view.rng), dtype=np.float32, order="C")
        middle = UNITS / 2
        for number in range(self.count):
            centre = (
                view.rng.normal(middle, UNITS * 0.1, 2)
                if self.count == 1
                else view.rng.uniform(UNITS * 0.1, UNITS * 0.9, 2)
            )
            size = UNITS * self.size / (1 if self.count == 1 else 1.8)
            place(picture, self.bodies[number % len(self.bodies)], centre, size, self.turns, view)
        return picture


def place(picture: Array, what: Body, centre: npt.NDArray[np.float64], size: float, turns: float, view: View) -> None:
    """Draws an object with a random pose; a third of them throw a shadow on the ground."""
    rng = view.rng
    size *= float(np.exp(rng.normal(0, 0.2)))
    turn = float(rng.uniform(-turns, turns))
    skew = np.eye(2) + rng.normal(0, 0.12, (2, 2))
    if rng.random() < 0.3:
        _shadow(picture, centre, size, view)
    mirror = MIRRORED if rng.random() < 0.5 else np.eye(2)
    what.draw(picture, Pose(centre, turned(turn) @ skew @ mirror * size, turn), view)


def _shadow(picture: Array, centre: npt.NDArray[np.float64], size: float, view: View) -> None:
    scale, side = view.canvas.scale, view.canvas.width
    row, column = (int(np.clip(value * scale, 0, side - 1)) for value in centre[::-1])
    colour = tuple(float(value) * 0.5 for value in picture[row, column])
    at = (int(centre[0] * scale), int((centre[1] + size * 0.8) * scale))
    axes = (max(1, int(size * scale)), max(1, int(size * scale * 0.25)))
    cv2.ellipse(picture, at, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)


def objects(rng: np.random.Generator, bank: Bank) -> Objects:
    """A random scene: mostly one object, upright more or less."""
    colours = palette(rng, 6)
    around = palette(rng, 4) if rng.random() < 0.6 else colours
    return Objects(
        bodies=tuple(body(rng, colours, bank) for _ in range(int(rng.integers(1, 3)))),
        count=1 if rng.random() < 0.65 else int(rng.integers(2, 7)),
        size=float(rng.uniform(0.22, 0.5)),
        turns=0.5 if rng.random() < 0.7 else float(np.pi),
        background=texture(rng, around, bank, flat=BACKGROUND_FLAT),
        keeps_background=rng.random() < 0.6,
    )
