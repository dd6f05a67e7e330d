"""Arithmetic on embeddings. Inputs and outputs are float32; rows are L2-normalised unless said otherwise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vidrec.domain.models import Embedding, Embeddings


def normalise(vectors: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Scales the last axis to length 1; a zero vector stays zero. Same shape, float32."""
    array = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(array, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(array, length, out=np.zeros_like(array), where=length > 0)
    return unit


def weighted_mean(embeddings: Embeddings, weights: npt.ArrayLike | None = None) -> Embedding:
    """The normalised (weighted) mean of n rows, shape (d,)."""
    rows = np.asarray(embeddings, dtype=np.float32)
    if weights is None:
        return normalise(rows.mean(axis=0))
    return normalise(np.asarray(weights, dtype=np.float32) @ rows)


def most_alike(left: Embeddings, right: Embeddings) -> tuple[int, int, float]:
    """The pair of rows with the highest cosine: (index in left, index in right, cosine). Both must have a row; ties go
    to the lowest indices."""
    similarity = np.asarray(left) @ np.asarray(right).T
    i, j = divmod(int(similarity.argmax()), similarity.shape[1])
    return i, j, float(similarity[i, j])
