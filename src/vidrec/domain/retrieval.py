"""How well embeddings put like beside like, measured with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Each item asks for all others; those of its label are right. Items alone in their label ask nothing."""

    mean_average_precision: float
    recall_at_1: float
    """Share of queries whose nearest neighbour is right."""
    queries: int


def retrieval(embeddings: npt.NDArray[np.floating], labels: Sequence[str]) -> Retrieval:
    """Ranks by cosine; equal ones in the order given. ValueError where no label has two items or lengths differ."""
    similar = _cosines(embeddings, labels)
    np.fill_diagonal(similar, -np.inf)
    order = np.argsort(-similar, axis=1, kind="stable")[:, :-1]
    names = np.asarray(labels)
    right = names[order] == names[:, None]
    asks = right.any(axis=1)
    if not asks.any():
        raise ValueError("no label has two items")
    right = right[asks]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    average = (precision * right).sum(axis=1) / right.sum(axis=1)
    return Retrieval(float(average.mean()), float(right[:, 0].mean()), int(asks.sum()))


def chance(labels: Sequence[str]) -> Retrieval:
    """What a random order gives on average: the expectation of average precision over all orders (Bestgen 2015)."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    others = len(labels) - 1
    average = first = 0.0
    queries = 0
    for count in counts[counts > 1]:
        right = int(count) - 1
        average += int(count) * _expected_average_precision(right, others)
        first += int(count) * right / others
        queries += int(count)
    if not queries:
        raise ValueError("no label has two items")
    return Retrieval(average / queries, first / queries, queries)


def _expected_average_precision(right: int, of: int) -> float:
    """With `right` of `of` items right: the one at rank k has (k - 1)(right - 1)/(of - 1) others before it."""
    ranks = np.arange(1, of + 1)
    before = (ranks - 1) * ((right - 1) / (of - 1) if of > 1 else 0.0)
    return float(((1 + before) / ranks).mean())


def _cosines(embeddings: npt.NDArray[np.floating], labels: Sequence[str]) -> npt.NDArray[np.float64]:
    if len(embeddings) != len(labels):
        raise ValueError(f"{len(embeddings)} embeddings for {len(labels)} labels")
    values = np.asarray(embeddings, dtype=np.float64)
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    cosines: npt.NDArray[np.float64] = unit @ unit.T
    return cosines


def colour_histogram(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """64 bins (4 a channel) of each frame (n, h, w, 3): roots of shares, so that a cosine is Bhattacharyya's
    coefficient. What any encoder has to be better than."""
    bins = (frames // 64).astype(np.int64)
    codes = (bins[..., 0] * 16 + bins[..., 1] * 4 + bins[..., 2]).reshape(len(frames), -1)
    shares = np.stack([np.bincount(row, minlength=64) / len(row) for row in codes])
    return np.sqrt(shares).astype(np.float32)
