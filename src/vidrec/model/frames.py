"""Generated frames: what an encoder is calibrated on and checked with where no pictures may be shipped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vidrec.domain.models import Frames

SIDE = 224


def generated_frames(count: int, *, seed: int) -> Frames:
    """`count` varied frames, shape (count, 224, 224, 3), uint8 RGB: smooth backgrounds, noise of natural spectrum,
    gratings and flat shapes, mixed at random. The same seed gives the same frames."""
    rng = np.random.default_rng(seed)
    return np.stack([_frame(rng) for _ in range(count)])


def _frame(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    picture = _gradient(rng)
    layers = [_noise, _grating, _shapes, _shapes]
    for i in rng.permutation(len(layers))[: rng.integers(1, 4)]:
        alpha = rng.uniform(0.3, 1.0)
        top, mask = layers[i](rng)
        picture = picture * (1 - alpha * mask) + top * (alpha * mask)
    return (picture.clip(0, 1) * 255).astype(np.uint8)


_Layer = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Colours (224, 224, 3) and coverage (224, 224, 1), 0 to 1."""


def _grid() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    axis = np.linspace(-1, 1, SIDE)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def _gradient(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    x, y = _grid()
    angle = rng.uniform(0, 2 * np.pi)
    t = (x * np.cos(angle) + y * np.sin(angle) + 1.5) / 3
    left, right = rng.uniform(0, 1, (2, 3))
    return np.asarray(t[..., None] * left + (1 - t[..., None]) * right)


def _noise(rng: np.random.Generator) -> _Layer:
    """Noise with the 1/f^a amplitude spectrum of natural pictures (Field 1987)."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij"))
    frequency[0, 0] = 1 / SIDE
    spectrum = np.fft.rfft2(rng.normal(size=(3, SIDE, SIDE))) / frequency ** rng.uniform(0.5, 2.0)
    planes = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
    planes = (planes - planes.mean((1, 2), keepdims=True)) / planes.std((1, 2), keepdims=True)
    colours = rng.uniform(0.2, 0.8, 3) + rng.uniform(0.05, 0.3) * np.moveaxis(planes, 0, -1)
    return colours, np.ones((SIDE, SIDE, 1))


def _grating(rng: np.random.Generator) -> _Layer:
    x, y = _grid()
    angle, frequency, phase = rng.uniform(0, np.pi), 2 ** rng.uniform(1, 6), rng.uniform(0, 2 * np.pi)
    wave = np.sin(frequency * np.pi * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    wave = np.sign(wave) if rng.uniform() < 0.5 else wave
    return np.broadcast_to(rng.uniform(0, 1, 3), (SIDE, SIDE, 3)), (wave[..., None] + 1) / 2


def _shapes(rng: np.random.Generator) -> _Layer:
    x, y = _grid()
    colours = np.zeros((SIDE, SIDE, 3))
    mask = np.zeros((SIDE, SIDE, 1))
    for _ in range(rng.integers(1, 12)):
        cx, cy = rng.uniform(-1, 1, 2)
        width, height = rng.uniform(0.05, 0.6, 2)
        dx, dy = (x - cx) / width, (y - cy) / height
        inside = (dx**2 + dy**2 < 1) if rng.uniform() < 0.5 else (np.maximum(abs(dx), abs(dy)) < 1)
        colours[inside] = rng.uniform(0, 1, 3)
        mask[inside] = 1
    return colours, mask
