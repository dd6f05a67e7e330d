"""Fields from iterated functions: where points land that random affine maps throw about (Barnsley 1988; for training
networks: Kataoka et al. 2020, arXiv:2101.08515)."""

from __future__ import annotations

import cv2
import numpy as np

from vidrec.model.pictures.canvas import Array

POINTS, SETTLING, ROUNDS = 3000, 8, 40


def attractor(rng: np.random.Generator, side: int) -> Array:
    """A field that is brighter where more points landed, on a logarithmic scale."""
    maps = int(rng.integers(2, 6))
    matrices, shifts = rng.uniform(-1, 1, (maps, 2, 2)), rng.uniform(-1, 1, (maps, 2))
    matrices *= (rng.uniform(0.35, 0.85, maps) / np.linalg.norm(matrices, 2, axis=(1, 2)))[:, None, None]  # contracting
    points = rng.uniform(-1, 1, (POINTS, 2))
    landed = []
    for number in range(ROUNDS):
        chosen = rng.integers(0, maps, POINTS)
        points = np.einsum("nij,nj->ni", matrices[chosen], points) + shifts[chosen]
        if number > SETTLING:
            landed.append(points)
    found = np.concatenate(landed)
    low, high = np.percentile(found, 1, axis=0), np.percentile(found, 99, axis=0)
    edges = [np.linspace(low[i], high[i] + 1e-6, side + 1) for i in range(2)]
    counts = np.log1p(np.histogram2d(found[:, 0], found[:, 1], bins=edges)[0]).astype(np.float32)
    smooth = cv2.GaussianBlur(counts, (0, 0), 0.7)
    return np.asarray(smooth / (smooth.max() + 1e-6), dtype=np.float32)
