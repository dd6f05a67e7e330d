"""Outlines of parts and leaves: closed polygons around the origin, about one unit in radius."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Outline = npt.NDArray[np.float64]
"""(n, 2)"""

STEPS = 40


def outline(rng: np.random.Generator) -> Outline:
    """One of the kinds below, at random."""
    return KINDS[int(rng.integers(len(KINDS)))](rng)


def _around(angles: npt.NDArray[np.float64], radius: float | npt.NDArray[np.float64] = 1.0) -> Outline:
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius], axis=1)


def _circle_angles(count: int) -> npt.NDArray[np.float64]:
    return np.linspace(0, 2 * np.pi, count, endpoint=False)


def _ellipse(rng: np.random.Generator) -> Outline:
    return _around(_circle_angles(STEPS)) * (1, rng.uniform(0.25, 1))


def _polygon(rng: np.random.Generator) -> Outline:
    count = int(rng.integers(3, 8))
    return _around(_circle_angles(count) + rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.1, count))


def _star(rng: np.random.Generator) -> Outline:
    count = int(rng.integers(4, 12))
    return _around(_circle_angles(2 * count), np.tile([1.0, rng.uniform(0.3, 0.8)], count))


def _bar(rng: np.random.Generator) -> Outline:
    height = rng.uniform(0.15, 1)
    return np.array([[-1, -height], [1, -height], [1, height], [-1, height]])


def _wedge(rng: np.random.Generator) -> Outline:
    left, right = rng.uniform(0.1, 0.6, 2)
    return np.array([[-1, -left], [1, -right], [1, right], [-1, left]])


def _blob(rng: np.random.Generator) -> Outline:
    angles = _circle_angles(STEPS)
    waves = [rng.normal(0, 0.35 / k) * np.cos(k * angles + rng.uniform(0, 2 * np.pi)) for k in range(1, 7)]
    return _around(angles, 1 + np.sum(waves, axis=0))


def _leaf(rng: np.random.Generator) -> Outline:
    """Two arcs: from a leaf over a half moon to a crescent."""
    along, belly = np.linspace(-1, 1, STEPS // 2), rng.uniform(-0.8, 0.9)
    upper, lower = 0.5 * (1 - along**2), -0.5 * belly * (1 - along**2)
    return np.concatenate([np.stack([along, upper], 1), np.stack([along, lower], 1)[::-1]])


KINDS: tuple[Callable[[np.random.Generator], Outline], ...] = (
    _ellipse,
    _ellipse,
    _polygon,
    _star,
    _bar,
    _wedge,
    _blob,
    _leaf,
)
