"""From retrieved neighbours to the order in which they are shown. Pure functions on values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, zip_longest

import numpy as np
import numpy.typing as npt

from vidrec.domain.models import Candidate, Embedding

DIVERSITY = 0.3
"""MMR's 1 - lambda: 0 orders by score alone, 1 by unlikeness alone."""
RERANK_POOL = 200
"""So many of the best candidates are re-ranked; the rest follow by score."""


def merge_hits(
    hits: Sequence[Sequence[tuple[str, float]]], importances: Sequence[float], *, drop: Collection[str]
) -> list[Candidate]:
    """One candidate per video from the neighbours of all interests, best first.

    `hits[i]`: (video id, cosine) of the interest of which `importances[i]` is the share. A video found for several
    interests goes to the nearest one. `drop`ped ids are left out. Ties go to the more important interest, then to the
    id.
    """
    best: dict[str, Candidate] = {}
    for index, found in enumerate(hits):
        for video_id, score in found:
            known = best.get(video_id)
            if video_id not in drop and (known is None or score > known.score):
                best[video_id] = Candidate(video_id=video_id, score=score, source="similar", interest=index)
    return by_score(best.values(), importances)


def by_score(candidates: Iterable[Candidate], importances: Sequence[float]) -> list[Candidate]:
    """Best first; ties go to the more important interest, then to the id."""
    return sorted(candidates, key=lambda c: (-c.score, -_importance(c, importances), c.video_id))


def _importance(candidate: Candidate, importances: Sequence[float]) -> float:
    return importances[candidate.interest] if candidate.interest is not None else 0.0


def diversify(
    candidates: Sequence[Candidate],
    importances: Sequence[float],
    embeddings: Mapping[str, Embedding],
    *,
    diversity: float = DIVERSITY,
) -> list[Candidate]:
    """Re-orders the best RERANK_POOL candidates by maximal marginal relevance (Carbonell & Goldstein 1998).

    Relevance is the cosine to the candidate's interest, scaled to 0..1 over the pool (encoders differ in how wide
    their cosines spread, so that `diversity` means the same for all), times 0.5 to 1 by the interest's importance.
    Every candidate of the pool needs an embedding. Deterministic.
    """
    pool, rest = list(candidates[:RERANK_POOL]), list(candidates[RERANK_POOL:])
    if len(pool) < 3 or diversity <= 0:
        return [*pool, *rest]
    vectors = np.stack([embeddings[c.video_id] for c in pool])
    likeness = _unit_range(vectors @ vectors.T)
    top = max(importances)
    share = np.array([0.5 + 0.5 * _importance(c, importances) / top for c in pool], dtype=np.float32)
    relevance = (1.0 - diversity) * share * _unit_range(np.array([c.score for c in pool], dtype=np.float32))
    nearest = np.zeros(len(pool), dtype=np.float32)
    order: list[int] = []
    for _ in pool:
        i = int(np.argmax(relevance - diversity * nearest))
        order.append(i)
        np.maximum(nearest, likeness[i], out=nearest)
        relevance[i] = -np.inf
    return [*(pool[i] for i in order), *rest]


def _unit_range(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scales values linearly to 0..1; all 1 where they are all the same."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.ones_like(values)


def collapse(
    candidates: Iterable[Candidate], same_as: Callable[[str], str], *, taken: Collection[str]
) -> list[Candidate]:
    """Keeps the first candidate of each group, in order. `same_as` maps a video id to what it shares with its copies
    (the hash of its bytes); groups in `taken` are left out."""
    known = set(taken)
    kept = []
    for candidate in candidates:
        group = same_as(candidate.video_id)
        if group not in known:
            known.add(group)
            kept.append(candidate)
    return kept


def cold_start(
    popular: Sequence[str], fresh: Sequence[str], *, drop: Collection[str] = (), limit: int | None = None
) -> list[Candidate]:
    """For a user of whom nothing is known: popular and fresh videos in turn, each video once, at most `limit`."""
    sources = zip_longest((("popular", v) for v in popular), (("fresh", v) for v in fresh))
    seen = set(drop)
    candidates: list[Candidate] = []
    for entry in chain.from_iterable(sources):
        if len(candidates) == limit:
            break
        if entry is not None and entry[1] not in seen:
            seen.add(entry[1])
            candidates.append(Candidate(video_id=entry[1], score=0.0, source=entry[0]))
    return candidates
