"""How well embeddings put like beside like, measured with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Each item asks for all others; those of its label are right. Items that none is right for ask nothing."""

    mean_average_precision: float
    recall_at_1: float
    """Share of queries whose nearest neighbour is right."""
    queries: int


def retrieval(
    embeddings: npt.NDArray[np.floating], labels: Sequence[str | None], *, groups: Sequence[str | None] | None = None
) -> Retrieval:
    """Ranks by cosine; equal ones in the order given. Items without a label ask nothing, but are among what is ranked.
    Items of one of the `groups` (near-duplicates) do not find each other: they are left out of each other's ranking.
    ValueError where nothing is there to be found or lengths differ."""
    similar = _cosines(embeddings, labels)
    right, ranked = _same(labels), ~np.eye(len(labels), dtype=bool)
    if groups is not None:
        ranked &= ~_same(groups)
    averages, firsts = [], []
    for query in range(len(labels)):
        others = np.flatnonzero(ranked[query])
        hits = right[query][others[np.argsort(-similar[query, others], kind="stable")]]
        if hits.any():
            ranks = np.flatnonzero(hits) + 1
            averages.append((np.arange(1, len(ranks) + 1) / ranks).mean())
            firsts.append(hits[0])
    if not averages:
        raise ValueError("no label has two items")
    return Retrieval(float(np.mean(averages)), float(np.mean(firsts)), len(averages))


def chance(labels: Sequence[str | None], *, groups: Sequence[str | None] | None = None) -> Retrieval:
    """What a random order gives on average for the same questions: the expectation over all orders (Bestgen 2015)."""
    right, ranked = _same(labels), ~np.eye(len(labels), dtype=bool)
    if groups is not None:
        ranked &= ~_same(groups)
    found = [(int((right[i] & ranked[i]).sum()), int(ranked[i].sum())) for i in range(len(labels))]
    asks = [(hits, of) for hits, of in found if hits]
    if not asks:
        raise ValueError("no label has two items")
    return Retrieval(
        float(np.mean([_expected_average_precision(hits, of) for hits, of in asks])),
        float(np.mean([hits / of for hits, of in asks])),
        len(asks),
    )


def _expected_average_precision(right: int, of: int) -> float:
    """With `right` of `of` items right: the one at rank k has (k - 1)(right - 1)/(of - 1) others before it."""
    ranks = np.arange(1, of + 1)
    before = (ranks - 1) * ((right - 1) / (of - 1) if of > 1 else 0.0)
    return float(((1 + before) / ranks).mean())


def _cosines(embeddings: npt.NDArray[np.floating], labels: Sequence[str | None]) -> npt.NDArray[np.float64]:
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


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """How well near-duplicates find each other, and what else a threshold would take for one."""

    recall_at_1: float
    """Share of items of a group whose nearest neighbour is of that group, at the threshold or above."""
    threshold: float
    """Lowest cosine at which no more than the given share of other pairs collapse."""
    false_collapses: float
    """Share of pairs that are no near-duplicates and have that cosine or more."""
    queries: int


def near_duplicates(
    embeddings: npt.NDArray[np.floating], groups: Sequence[str | None], *, most_false: float = 0.005
) -> NearDuplicates:
    """Items of one group are near-duplicates; None is alone. ValueError where no group has two items."""
    cosines = _cosines(embeddings, groups)
    same = _same(groups)
    if not same.any():
        raise ValueError("no group has two items")
    upper = np.triu(np.ones_like(same), 1)
    others = np.sort(cosines[~same & upper])[::-1]
    allowed = int(most_false * len(others))
    threshold = float(np.nextafter(others[allowed], np.inf)) if len(others) else -1.0
    np.fill_diagonal(cosines, -np.inf)
    nearest = cosines.argmax(axis=1)
    rows = np.arange(len(groups))
    found = same[rows, nearest] & (cosines[rows, nearest] >= threshold)
    asks = same.any(axis=1)
    false = float((others >= threshold).mean()) if len(others) else 0.0
    return NearDuplicates(float(found[asks].mean()), threshold, false, int(asks.sum()))


def _same(labels: Sequence[str | None]) -> npt.NDArray[np.bool_]:
    """(n, n): whether two different items have one label; None is like nothing else."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    codes = np.array([-1 - i if label is None else numbers[label] for i, label in enumerate(labels)])
    same = codes[:, None] == codes[None, :]
    np.fill_diagonal(same, False)
    return np.asarray(same)
