"""Fields of noise: random planes with the 1/f^a amplitude spectrum of natural pictures (Field 1987)."""

from __future__ import annotations

import cv2
import numpy as np

from vidrec.model.pictures.canvas import Array


def noise(rng: np.random.Generator, side: int) -> Array:
    """A field that tiles: coarse or fine, stretched in some direction; a quarter are folded into ridges, a fifth are
    blobs of one size."""
    if rng.random() < 0.2:
        return _levelled(_blobs(rng, side))
    plane = _spectral(rng, side)
    return _levelled(np.abs(plane) if rng.random() < 0.25 else plane)


def _spectral(rng: np.random.Generator, side: int) -> Array:
    exponent, stretch, angle = rng.uniform(0.6, 2.4), np.exp(rng.normal(0, 0.5)), rng.uniform(0, np.pi)
    fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    radius = np.hypot(along * stretch, across / stretch) + 1e-3
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) / radius**exponent
    plane = np.fft.irfft2(spectrum, s=(side, side))
    return np.asarray(plane - plane.mean(), dtype=np.float32)


def _blobs(rng: np.random.Generator, side: int) -> Array:
    white = rng.normal(size=(side, side)).astype(np.float32)
    fine = cv2.GaussianBlur(white, (0, 0), rng.uniform(1.5, 8))
    return np.asarray(fine - cv2.GaussianBlur(white, (0, 0), 12), dtype=np.float32)


def _levelled(plane: Array) -> Array:
    """Half grey on average, two standard deviations to either side of it."""
    standard = (plane - plane.mean()) / (plane.std() + 1e-9)
    return np.asarray(0.5 + 0.25 * np.clip(standard, -2, 2), dtype=np.float32)
