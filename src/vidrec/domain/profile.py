"""What a user's interactions say of their taste: a few interests.

The method is PinnerSage's (Pal et al. 2020, arXiv:2007.03634): cluster what was watched with Ward's method, let its
medoid stand for each cluster (a video that exists, not a mean of unlike things), weigh clusters by how recently and how
much their members were watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from vidrec.domain.models import (
    Embedding,
    Embeddings,
    Interaction,
    InteractionType,
    Interest,
    UserProfile,
    WatchedVideo,
)

MAX_INTERESTS = 5
HALF_LIFE_DAYS = 30.0
"""What was watched this long ago counts half."""
MAX_SPREAD = 0.7
"""Clusters are merged while their Ward distance is below this share of the largest merge of the whole history."""

_WEIGHTS: Mapping[InteractionType, float] = {
    InteractionType.IMPRESSION: 0.0,
    InteractionType.VIEW: 0.3,
    InteractionType.LIKE: 2.0,
    InteractionType.SKIP: 0.0,
    InteractionType.DISLIKE: -2.0,
    InteractionType.HIDE: -2.0,
}


def interaction_weight(interaction: Interaction) -> float:
    """How much one interaction says of taste. A watch counts by the fraction that was really watched (unknown: half);
    a skip is not a dislike, and an impression says nothing."""
    if interaction.type is InteractionType.WATCH:
        return 0.5 if interaction.fraction is None else interaction.fraction
    return _WEIGHTS[interaction.type]


def fold_history(interactions: Iterable[Interaction]) -> list[WatchedVideo]:
    """Folds interactions into one row per video, most recent first. Weights add up within -2 to 3, so that no video
    outweighs all others by being replayed; a dislike or hide is the last word until a later like. Impressions alone
    make no row. `interactions` in any order."""
    rows: dict[str, WatchedVideo] = {}
    for event in sorted(interactions, key=lambda e: e.ts):
        if event.type is InteractionType.IMPRESSION:
            continue
        known = rows.get(event.video_id)
        weight = interaction_weight(event)
        if known is not None:
            weight = _add_weight(known.weight, weight, event.type)
        rows[event.video_id] = WatchedVideo(
            video_id=event.video_id,
            weight=weight,
            last_at=event.ts,
            position_s=event.position_s if event.position_s is not None else known.position_s if known else None,
        )
    return sorted(rows.values(), key=lambda row: row.last_at, reverse=True)


def _add_weight(so_far: float, weight: float, kind: InteractionType) -> float:
    if kind in (InteractionType.DISLIKE, InteractionType.HIDE):
        return weight
    if so_far < 0:
        return weight if kind is InteractionType.LIKE else so_far
    return min(so_far + weight, 3.0)


def build_profile(
    user_id: str,
    model_version: str,
    history: Sequence[WatchedVideo],
    embeddings: Mapping[str, Embedding],
    *,
    removed: Sequence[frozenset[str]] = (),
    cutoff: int,
    now: datetime,
) -> UserProfile:
    """The user's interests, at most MAX_INTERESTS, most important first. Videos of `history` without a positive weight
    or without an embedding say nothing. `removed`: the videos of each interest that the user wants no more of. They
    take part in the clustering and then say nothing, nor does what falls into one cluster with most of an interest's:
    so what is watched of that kind later does not bring it back. Deterministic: ties go to the more recent video."""
    told = [row for row in history if row.weight > 0 and row.video_id in embeddings]
    named = {row.video_id for row in told}
    ids = [row.video_id for row in told]
    ids += sorted(v for v in frozenset().union(*removed) if v in embeddings and v not in named)
    unsaid = [frozenset(group & embeddings.keys()) for group in removed]
    if not told:
        return UserProfile(user_id=user_id, model_version=model_version, interests=(), cutoff=cutoff)
    vectors = np.stack([embeddings[video_id] for video_id in ids])
    clusters = _ward_clusters(vectors)
    says = _says(ids, clusters, unsaid)
    weights = np.zeros(len(ids))
    weights[: len(told)] = [row.weight * _recency(row.last_at, now) for row in told]
    weights *= says
    clusters = np.where(says, clusters, -1)
    total = {label: float(weights[clusters == label].sum()) for label in np.unique(clusters[says])}
    kept = sorted(total, key=lambda label: (-total[label], label))[:MAX_INTERESTS]
    whole = sum(total[label] for label in kept)
    interests = []
    for label in kept:
        members = np.flatnonzero(clusters == label)
        medoid = members[_medoid(vectors[members], weights[members])]
        ordered = members[np.argsort(-weights[members], kind="stable")]
        interests.append(
            Interest(
                video_id=ids[medoid],
                embedding=vectors[medoid],
                importance=total[label] / whole,
                members=tuple(ids[i] for i in ordered),
            )
        )
    return UserProfile(user_id=user_id, model_version=model_version, interests=tuple(interests), cutoff=cutoff)


def _says(
    ids: Sequence[str], clusters: npt.NDArray[np.intp], removed: Sequence[frozenset[str]]
) -> npt.NDArray[np.bool_]:
    """Which of the videos say something of taste: those of no removed interest, nor in one cluster with more than half
    of one. Shape (n,)."""
    says = np.ones(len(ids), dtype=np.bool_)
    for group in removed:
        members = np.array([video_id in group for video_id in ids])
        if members.any():
            labels, counts = np.unique(clusters[members], return_counts=True)
            away = labels[counts > members.sum() / 2]
            says &= ~members & ~np.isin(clusters, away)
    return says


def _recency(at: datetime, now: datetime) -> float:
    days = max(0.0, (now - at).total_seconds() / 86400)
    return float(0.5 ** (days / HALF_LIFE_DAYS))


def _medoid(vectors: Embeddings, weights: npt.NDArray[np.float64]) -> int:
    """Index of the row with the highest weighted mean cosine to all rows of its cluster."""
    return int((vectors @ (weights.astype(np.float32) @ vectors)).argmax())


def _ward_clusters(vectors: Embeddings) -> npt.NDArray[np.intp]:
    """Labels, shape (n,), by agglomerative clustering with Ward's criterion (Lance-Williams update). It is cut where a
    merge costs more than MAX_SPREAD of the dearest one, but at MAX_INTERESTS clusters at the most: a history of one
    taste, whose merges cost all about the same, must not fall into single videos. n is a user's history (at most a few
    hundred)."""
    n = len(vectors)
    if n == 1:
        return np.zeros(1, dtype=np.intp)
    merges = _ward_merges(vectors)
    dearest = max(cost for _, _, cost in merges)
    labels = np.arange(n)
    for left, (keep, gone, cost) in zip(range(n, 1, -1), merges, strict=True):
        # Ward's merge costs never fall, so the merges below the cut are a prefix.
        if left <= MAX_INTERESTS and cost > MAX_SPREAD * dearest and cost > 1e-9:
            break
        labels[labels == gone] = keep
    return labels


def _ward_merges(vectors: Embeddings) -> list[tuple[int, int, float]]:
    """The n - 1 merges in order: (cluster kept, cluster gone, Ward distance). Clusters are named by their lowest
    row."""
    n = len(vectors)
    points = vectors.astype(np.float64)
    squared = np.maximum(0.0, 2.0 - 2.0 * points @ points.T)
    np.fill_diagonal(squared, np.inf)
    size = np.ones(n)
    merges: list[tuple[int, int, float]] = []
    for _ in range(n - 1):
        a, b = sorted(divmod(int(squared.argmin()), n))
        cost = float(squared[a, b])
        merges.append((a, b, float(np.sqrt(max(0.0, cost)))))
        others = np.isfinite(squared[a]) & np.isfinite(squared[b])
        others[[a, b]] = False
        both = size[a] + size[b]
        rest = size[others]
        merged = ((size[a] + rest) * squared[a, others] + (size[b] + rest) * squared[b, others] - rest * cost) / (
            both + rest
        )
        squared[a, others] = squared[others, a] = merged
        squared[b, :] = squared[:, b] = np.inf
        size[a] = both
    return merges
