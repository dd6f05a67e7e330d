"""The readout: how an embedding is made of what the layers see.

Mean and standard deviation of each stage's channels over the picture are joined and whitened: directions in which
pictures hardly differ count as much as the loud ones (Jegou and Chum 2012). Fitted on generated pictures, it costs two
poolings a stage and one product of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

SHRINKAGE = 1e-3
"""Of the largest variance, added to each: directions that hardly vary are mostly noise."""


@dataclass(frozen=True, slots=True)
class Readout:
    """Joined statistics (n, k) @ matrix (k, d) + bias (d,), to be L2-normalised."""

    matrix: Matrix
    bias: npt.NDArray[np.float32]

    @property
    def dimension(self) -> int:
        return int(self.matrix.shape[1])

    def __call__(self, statistics: npt.NDArray[np.floating]) -> Matrix:
        """Embeddings (n, d) of length 1."""
        values = statistics @ self.matrix + self.bias
        return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def fit_readout(statistics: Sequence[npt.NDArray[np.floating]], dimension: int) -> Readout:
    """Whitens each block of statistics (n, k_i) by itself, joins them, and keeps the `dimension` directions in which
    the joined ones vary most."""
    blocks = [np.asarray(block, dtype=np.float64) for block in statistics]
    whitened = [_whitening(block) for block in blocks]
    joined = np.concatenate([(b - b.mean(0)) @ w for b, w in zip(blocks, whitened, strict=True)], axis=1)
    _, directions = _spectrum(joined)
    kept = directions[:, :dimension]
    starts = np.cumsum([0, *(w.shape[1] for w in whitened)])
    matrix = np.concatenate([w @ kept[starts[i] : starts[i + 1]] for i, w in enumerate(whitened)])
    bias = -np.concatenate([block.mean(0) for block in blocks]) @ matrix
    return Readout(matrix.astype(np.float32), bias.astype(np.float32))


def _whitening(block: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    variances, directions = _spectrum(block)
    return np.asarray(directions / np.sqrt(variances + SHRINKAGE * variances[0] + 1e-12))


def _spectrum(block: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Variances, largest first, and their directions as columns."""
    centred = block - block.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / max(1, len(block) - 1))
    return np.maximum(values[::-1], 0), vectors[:, ::-1]
