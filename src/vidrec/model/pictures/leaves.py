"""Family: dead leaves, shapes of power-law size that fall over one another (Lee, Mumford and Huang 2001; for training
networks: Baradad et al. 2021, arXiv:2106.05963)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidrec.model.pictures.bank import Bank
from vidrec.model.pictures.canvas import UNITS, Array, turned
from vidrec.model.pictures.colour import palette
from vidrec.model.pictures.outline import Outline, outline
from vidrec.model.pictures.scene import View
from vidrec.model.pictures.texture import FLAT, Texture, texture

LARGEST = 60.0
TOO_SMALL_FOR_TEXTURE = 5.0


@dataclass(frozen=True, slots=True)
class Leaves:
    """The scene: which shapes and textures, how many and how large; each view lets them fall anew."""

    background: Texture
    textures: tuple[Texture, ...]
    outlines: tuple[Outline, ...]
    count: int
    smallest: float
    power: float

    def render(self, view: View) -> Array:
        rng = view.rng
        picture = np.array(self.background.paint(view.canvas, view.bank, rng), dtype=np.float32, order="C")
        sizes = np.minimum(LARGEST, self.smallest * 1.5 * (1 - rng.random(self.count)) ** (-1 / self.power))
        for size in sizes:
            angle = float(rng.uniform(0, 2 * np.pi))
            shape = self.outlines[int(rng.integers(len(self.outlines)))] @ turned(angle) * size
            self._drop(picture, shape + rng.uniform(-5, UNITS + 5, 2), angle, float(size), view)
        return picture

    def _drop(self, picture: Array, shape: Outline, angle: float, size: float, view: View) -> None:
        what = self.textures[int(view.rng.integers(len(self.textures)))]
        if what.kind == FLAT or size < TOO_SMALL_FOR_TEXTURE:
            colour = tuple(float(value) for value in what.mean * view.rng.uniform(0.8, 1.2))
            cv2.fillPoly(picture, [view.canvas.corners(shape)], colour, cv2.LINE_AA, 4)
            return
        on = view.canvas.around(shape)
        if on is None:
            return
        mask = np.zeros((on.height, on.width), dtype=np.uint8)
        cv2.fillPoly(mask, [on.corners(shape)], 1, cv2.LINE_8, 4)
        np.copyto(picture[on.window], what.paint(on, view.bank, view.rng, turn=angle), where=mask[..., None] > 0)


def leaves(rng: np.random.Generator, bank: Bank) -> Leaves:
    """A random heap of leaves in one palette."""
    colours = palette(rng, 6)
    return Leaves(
        background=texture(rng, colours, bank, flat=0.2),
        textures=tuple(texture(rng, colours, bank, flat=0.35) for _ in range(6)),
        outlines=tuple(outline(rng) for _ in range(4)),
        count=int(np.exp(rng.uniform(np.log(8), np.log(70)))),
        smallest=float(rng.uniform(1.5, 5)),
        power=float(rng.uniform(0.6, 2.5)),
    )
