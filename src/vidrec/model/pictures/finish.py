"""What a camera adds to every picture: light from one side, softness, grain."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from vidrec.model.pictures.canvas import UNITS, Array
from vidrec.model.pictures.scene import View


def finished(picture: Array, view: View) -> npt.NDArray[np.uint8]:
    """The picture as bytes, (side, side, 3) RGB."""
    rng, on = view.rng, view.canvas
    if rng.random() < 0.5:
        strength = rng.uniform(0, 0.5) / (UNITS / 2)
        across = (on.x - np.float32(UNITS / 2)) * np.float32(view.light[0] * strength)
        down = (on.y - np.float32(UNITS / 2)) * np.float32(view.light[1] * strength)
        picture = picture * (1 + across + down)[..., None]
    if rng.random() < 0.3:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1) * on.scale), dtype=np.float32)
    grain = rng.standard_normal((on.height, on.width, 1), dtype=np.float32) * np.float32(rng.uniform(0, 6))
    return np.asarray(np.clip(picture + grain, 0, 255).astype(np.uint8))
