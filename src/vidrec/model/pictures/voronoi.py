"""Fields of Voronoi cells: each pixel belongs to the nearest of some random points."""

from __future__ import annotations

import cv2
import numpy as np

from vidrec.model.pictures.canvas import Array


def voronoi(rng: np.random.Generator, side: int) -> Array:
    """A field of 20 to 400 cells: a grey each, the distance to its point, or dark borders."""
    count, look = int(rng.integers(20, 400)), rng.random()
    rows, columns = rng.integers(0, side, (2, count))
    free = np.ones((side, side), dtype=np.uint8)
    free[rows, columns] = 0
    distance, label = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    greys = rng.random(int(label.max()) + 1).astype(np.float32)[label]
    if look < 0.4:
        return np.asarray(greys, dtype=np.float32)
    if look < 0.75:
        return np.asarray(np.clip(distance / (distance.max() * 0.6), 0, 1), dtype=np.float32)
    borders = cv2.morphologyEx(greys, cv2.MORPH_GRADIENT, np.ones((3, 3), dtype=np.uint8)) > 0
    return np.asarray(np.where(borders, 0.05, 0.4 + 0.6 * greys), dtype=np.float32)
