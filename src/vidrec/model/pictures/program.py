"""Programs: number -> scene -> pictures, all from one seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vidrec.model.pictures.bank import Bank, bank_of
from vidrec.model.pictures.blends import blend
from vidrec.model.pictures.canvas import canvas
from vidrec.model.pictures.finish import finished
from vidrec.model.pictures.landscapes import landscape
from vidrec.model.pictures.leaves import leaves
from vidrec.model.pictures.objects import objects
from vidrec.model.pictures.scene import Scene, View
from vidrec.model.pictures.surfaces import surface
from vidrec.model.pictures.warps import warped

SIDE = 96
FAMILIES: tuple[tuple[Callable[[np.random.Generator, Bank], Scene], float], ...] = (
    (objects, 0.52),
    (leaves, 0.18),
    (surface, 0.14),
    (landscape, 0.16),
)
"""Families and their shares; half objects is what the retrieval of photographs likes best."""
BLENDED, WARPED = 0.15, 0.12
"""Shares of programs that are two scenes in one, and of scenes that are warped."""


def render(seed: int, program: int, view: int, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Picture (side, side, 3) uint8 RGB of a program. Every view of a program shows the same scene with another pose
    and light; view 0 is its own, in others the background may be another. The same arguments give the same picture."""
    bank = bank_of(seed)
    rng = np.random.default_rng([seed, 2, program, view])
    at = View(rng, bank, canvas(side), light=_direction(rng), first=view == 0)
    return finished(scene(seed, program).render(at), at)


def scene(seed: int, program: int) -> Scene:
    """The scene of a program."""
    rng, bank = np.random.default_rng([seed, 1, program]), bank_of(seed)
    if rng.random() < BLENDED:
        return blend(rng, _single(rng, bank), _single(rng, bank))
    return _single(rng, bank)


def _single(rng: np.random.Generator, bank: Bank) -> Scene:
    shares = [share for _, share in FAMILIES]
    make, _ = FAMILIES[int(rng.choice(len(FAMILIES), p=shares))]
    made = make(rng, bank)
    return warped(rng, made, len(bank)) if rng.random() < WARPED else made


def _direction(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])
