"""What every family of pictures shares: fixed when the program is made, rendered as often as one likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vidrec.model.pictures.bank import Bank
from vidrec.model.pictures.canvas import Array, Canvas


@dataclass(frozen=True, slots=True)
class View:
    """One rendering of a scene: what may differ from the next one."""

    rng: np.random.Generator
    bank: Bank
    canvas: Canvas
    light: npt.NDArray[np.float64]
    """Direction that light comes from, in the picture's plane, of length 1."""
    first: bool
    """Whether it is the scene's own view; others may change the background."""


class Scene(Protocol):
    """A picture that can be rendered again, with other pose, light and background."""

    def render(self, view: View) -> Array:
        """Picture (side, side, 3), float32, about 0 to 255; the caller may change it."""
        ...
