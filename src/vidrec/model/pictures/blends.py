"""Family: two pictures in one, laid over each other or with a window from one into the other (MixUp, Zhang et al. 2017,
arXiv:1710.09412; CutMix, Yun et al. 2019, arXiv:1905.04899)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidrec.model.pictures.canvas import UNITS, Array
from vidrec.model.pictures.outline import Outline, outline
from vidrec.model.pictures.scene import Scene, View


@dataclass(frozen=True, slots=True)
class Blend:
    """The scene."""

    first: Scene
    second: Scene
    share: float
    """Of the second one, where it shows."""
    window: Outline | None
    """Where it shows; None: everywhere."""

    def render(self, view: View) -> Array:
        picture, other = self.first.render(view), self.second.render(view)
        if self.window is None:
            return np.asarray(picture + (other - picture) * np.float32(self.share))
        shift = view.rng.normal(0, UNITS * 0.05, 2)
        mask = np.zeros(picture.shape[:2], dtype=np.uint8)
        cv2.fillPoly(mask, [view.canvas.corners(self.window + shift)], 255, cv2.LINE_AA, 4)
        return np.asarray(picture + (other - picture) * (mask.astype(np.float32) / 255)[..., None])


def blend(rng: np.random.Generator, first: Scene, second: Scene) -> Blend:
    """Half of them with a window."""
    window = None
    if rng.random() < 0.5:
        window = outline(rng) * rng.uniform(0.25, 0.5) * UNITS + rng.uniform(UNITS * 0.25, UNITS * 0.75, 2)
    return Blend(first, second, share=float(rng.uniform(0.25, 0.5)), window=window)
