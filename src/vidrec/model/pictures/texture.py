"""Textures: a pattern, its colours and its statistics are fixed; each painting has an offset of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from vidrec.model.pictures.bank import Bank
from vidrec.model.pictures.canvas import UNITS, Array, Canvas

FLAT, GRAIN = "flat", "grain"
PATTERNS: dict[str, Callable[[_Surface], Array]] = {}


@dataclass(frozen=True, slots=True)
class _Surface:
    """What a pattern is computed from at one painting."""

    u: Array
    v: Array
    """Turned coordinates, in radians of the pattern's frequency."""
    phase: float
    bend: float
    field: Callable[[], Array]


def _pattern(compute: Callable[[_Surface], Array]) -> Callable[[_Surface], Array]:
    PATTERNS[compute.__name__] = compute
    return compute


@_pattern
def noise(at: _Surface) -> Array:
    return at.field()


@_pattern
def mottled(at: _Surface) -> Array:
    """One field through another: blotches with a structure of their own."""
    return np.asarray(at.field() * (0.4 + 0.6 * at.field()) * 1.4)


@_pattern
def marble(at: _Surface) -> Array:
    return np.asarray(0.5 + 0.5 * np.sin(2 * at.u + at.phase + 2 * at.bend * at.field()))


@_pattern
def stripes(at: _Surface) -> Array:
    return np.asarray(0.5 + 0.5 * np.sin(2 * at.u + at.phase))


@_pattern
def chequers(at: _Surface) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(4 * np.sin(at.u + at.phase) * np.sin(at.v)))


@_pattern
def dots(at: _Surface) -> Array:
    return np.asarray(0.5 + 2 * (np.sin(at.u + at.phase) * np.sin(at.v) - 0.3))


@_pattern
def bricks(at: _Surface) -> Array:
    row = np.floor(at.v / np.pi)
    joint = np.minimum(np.abs(np.sin(at.v)), np.abs(np.sin(at.u / 2 + at.phase + row * (np.pi / 2))) * 2)
    return np.asarray(np.clip(joint * 4, 0, 1) * (0.7 + 0.3 * at.field()))


@_pattern
def gradient(at: _Surface) -> Array:
    low, high = at.u.min(), at.u.max()
    return np.asarray((at.u - low) / (high - low + 1e-6))


@_pattern
def rings(at: _Surface) -> Array:
    """Wood: rings around a point outside or inside, bent by a field."""
    centre = at.bend * np.pi
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.hypot(at.u - centre, at.v - centre) + 4 * at.field()))


_FAVOURED = ("noise", GRAIN)
_KINDS = (*PATTERNS, GRAIN, *_FAVOURED)


@dataclass(frozen=True, slots=True)
class Texture:
    """A texture to paint with."""

    kind: str
    colours: Array
    """(256, 1, 3) uint8: from a pattern's value to a colour."""
    mean: Array
    contrast: float
    fields: tuple[int, int, int]
    zoom: float
    frequency: float
    angle: float
    bend: float

    def paint(self, on: Canvas, bank: Bank, rng: np.random.Generator, *, turn: float = 0.0) -> Array:
        """The rectangle painted, (h, w, 3); `turn` turns the texture with what wears it."""
        if self.kind == FLAT:
            return np.broadcast_to(self.mean, (on.height, on.width, 3))
        numbers = iter(self.fields)

        def field() -> Array:
            return bank.cut(next(numbers), rng, on.height, on.width, self.zoom / on.scale)

        if self.kind == GRAIN:
            planes = np.stack([field(), field(), field()], axis=2) - 0.5
            return np.asarray(np.clip(self.mean + planes * (255 * self.contrast), 0, 255))
        angle = self.angle + turn
        c, s = np.float32(np.cos(angle) * self.frequency), np.float32(np.sin(angle) * self.frequency)
        at = _Surface(on.x * c + on.y * s, on.y * c - on.x * s, float(rng.uniform(0, 2 * np.pi)), self.bend, field)
        values = np.clip(PATTERNS[self.kind](at), 0, 1) * 255
        return np.asarray(cv2.applyColorMap(values.astype(np.uint8), self.colours), dtype=np.float32)


def texture(rng: np.random.Generator, colours: Array, bank: Bank, *, flat: float) -> Texture:
    """A random texture in two or three of the colours (0 to 255); a `flat` share is of one colour."""
    kind = FLAT if rng.random() < flat else str(rng.choice(_KINDS))
    chosen = colours[rng.permutation(len(colours))[:3]]
    ramp = _ramp(rng, chosen)
    mean = ramp.mean(0)
    contrast = float(rng.beta(1.5, 1.5))
    ramp = mean + (ramp - mean) * (0.25 + 0.75 * contrast)
    return Texture(
        kind=kind,
        colours=ramp.clip(0, 255).astype(np.uint8).reshape(256, 1, 3),
        mean=(chosen[0] if kind == FLAT else mean).astype(np.float32),
        contrast=contrast,
        fields=tuple(int(i) for i in rng.integers(0, len(bank), 3)),  # type: ignore[arg-type]
        zoom=float(np.exp(rng.uniform(-1.1, 0.4))),
        frequency=float(np.exp(rng.uniform(np.log(0.05), np.log(0.7)))),
        angle=float(rng.uniform(0, np.pi)),
        bend=float(rng.uniform(0, UNITS / 16)),
    )


def _ramp(rng: np.random.Generator, colours: Array) -> Array:
    """(256, 3): from the first colour to the second, or over it to the third; smooth or in two or three steps."""
    t: Array = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    if rng.random() < 0.35:
        t = np.asarray(np.round(t) if rng.random() < 0.5 else np.minimum(np.floor(t * 3), 2) / 2, dtype=np.float32)
    if rng.random() < 0.5 or len(colours) < 3:
        return np.asarray(colours[0] * (1 - t) + colours[1] * t)
    first, second, third = colours
    return np.asarray(
        np.where(t < 0.5, first * (1 - 2 * t) + second * 2 * t, second * (2 - 2 * t) + third * (2 * t - 1))
    )
