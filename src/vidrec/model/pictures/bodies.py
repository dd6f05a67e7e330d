"""Objects made of parts: a body, and parts that are mirrored or repeated around it, shaded as if they bulged."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from vidrec.model.pictures.bank import Bank
from vidrec.model.pictures.canvas import Array, Canvas, turned
from vidrec.model.pictures.outline import Outline, outline
from vidrec.model.pictures.scene import View
from vidrec.model.pictures.texture import Texture, texture

Matrix = npt.NDArray[np.float64]
MIRRORED = np.diag([-1.0, 1.0])
LINE = (15.0, 15.0, 15.0)


@dataclass(frozen=True, slots=True)
class Part:
    """One part in the body's coordinates."""

    outline: Outline
    position: npt.NDArray[np.float64]
    copies: tuple[Matrix, ...]
    """A matrix for each copy: as it is, mirrored, or turned around the body's centre."""
    texture: Texture
    behind: bool


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an object is drawn, and how."""

    centre: npt.NDArray[np.float64]
    matrix: Matrix
    """From the body's coordinates to units: size, turn, perspective, mirroring."""
    turn: float


@dataclass(frozen=True, slots=True)
class Body:
    """An object."""

    parts: tuple[Part, ...]
    shaded: bool
    lined: bool
    rigid: bool
    """Whether parts keep their places from view to view."""

    def draw(self, picture: Array, pose: Pose, view: View) -> None:
        """Draws the object into the picture."""
        loose = 0.0 if self.rigid else 0.12
        hidden = [part for part in self.parts[1:] if part.behind]
        shown = [part for part in self.parts[1:] if not part.behind]
        for part in (*hidden, self.parts[0], *shown):
            shift = view.rng.normal(0, loose, 2) if part is not self.parts[0] else np.zeros(2)
            shape = part.outline @ turned(view.rng.normal(0, 2 * loose)) + part.position + shift
            self._draw_part(
                picture, part, [shape @ copy @ pose.matrix + pose.centre for copy in part.copies], pose, view
            )

    def _draw_part(self, picture: Array, part: Part, shapes: list[Outline], pose: Pose, view: View) -> None:
        on = view.canvas.around(np.concatenate(shapes))
        if on is None:
            return
        mask = np.zeros((on.height, on.width), dtype=np.uint8)
        polygons = [on.corners(shape) for shape in shapes]
        for polygon in polygons:
            cv2.fillPoly(mask, [polygon], 255, cv2.LINE_AA, 4)
        surface = part.texture.paint(on, view.bank, view.rng, turn=pose.turn)
        if self.shaded:
            surface = surface * _relief(mask, on, view.light)[..., None]
        target = picture[on.window]
        target += (surface - target) * (mask.astype(np.float32) / 255)[..., None]
        if self.lined:
            line = np.ascontiguousarray(target)
            cv2.polylines(line, polygons, True, LINE, 1, cv2.LINE_AA, 4)
            picture[on.window] = line


def _relief(mask: npt.NDArray[np.uint8], on: Canvas, light: npt.NDArray[np.float64]) -> Array:
    """Brightness (h, w) of a shape that bulges: height is the root of the distance to its edge, and slopes that face
    the light are brighter."""
    inside = (mask > 127).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) / on.scale
    height = cv2.GaussianBlur(np.sqrt(np.minimum(distance, 16)), (0, 0), 1.2 * on.scale) * on.scale
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    bright = 1 + 0.22 * (slope_x * np.float32(light[0]) + slope_y * np.float32(light[1]))
    return np.asarray(np.clip(bright, 0.25, 1.8))


def body(rng: np.random.Generator, colours: Array, bank: Bank) -> Body:
    """A random object of one to five kinds of parts in up to three textures."""
    textures = [texture(rng, colours, bank, flat=0.4) for _ in range(int(rng.integers(1, 4)))]
    symmetry = rng.random()
    parts = []
    for number in range(int(rng.integers(1, 6))):
        size = rng.uniform(0.5, 1) if number == 0 else rng.uniform(0.12, 0.6)
        angle = float(rng.choice([0, np.pi / 2, rng.uniform(0, 2 * np.pi)]))
        parts.append(
            Part(
                outline=outline(rng) * size @ turned(angle),
                position=np.zeros(2) if number == 0 else rng.normal(0, 0.5, 2),
                copies=(np.eye(2),) if number == 0 else _copies(rng, symmetry),
                texture=textures[int(rng.integers(len(textures)))],
                behind=rng.random() < 0.4,
            )
        )
    return Body(tuple(parts), shaded=rng.random() < 0.75, lined=rng.random() < 0.25, rigid=rng.random() < 0.5)


def _copies(rng: np.random.Generator, symmetry: float) -> tuple[Matrix, ...]:
    if symmetry < 0.55:
        return (np.eye(2), MIRRORED)
    if symmetry < 0.7:
        count = int(rng.integers(3, 13))
        return tuple(turned(2 * np.pi * number / count) for number in range(count))
    return (np.eye(2),)
