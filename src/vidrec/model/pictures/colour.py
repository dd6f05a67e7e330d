"""Palettes: a few colours that go together."""

from __future__ import annotations

import colorsys

import numpy as np

from vidrec.model.pictures.canvas import Array

HUE_SPREADS = (0.03, 0.1, 0.5)
"""One hue, neighbours, any hue."""


def palette(rng: np.random.Generator, size: int) -> Array:
    """Colours (size, 3), 0 to 255: hues around one, one saturation more or less, any brightness. Most are dull, as in
    photographs."""
    hue, spread, saturation = rng.random(), rng.choice(HUE_SPREADS), rng.beta(1.6, 2.2)
    colours = [
        colorsys.hsv_to_rgb(
            (hue + rng.normal(0, spread)) % 1,
            float(np.clip(saturation + rng.normal(0, 0.15), 0, 1)),
            rng.beta(1.6, 1.4),
        )
        for _ in range(size)
    ]
    return np.array(colours, dtype=np.float32) * 255
