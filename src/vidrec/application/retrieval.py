"""Candidate retrieval: what lies near a user's interests, by one batched search."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidrec.application.ports import Database, VectorIndex
from vidrec.domain.filters import VideoFilter
from vidrec.domain.models import Candidate, Embedding, Interest, ModelVersion
from vidrec.domain.ranking import merge_hits

MAX_RETRIEVED = 1000
"""Most neighbours asked for per interest, however much the user has seen."""
MAX_AMONG = 2000
"""Where a filter that the index knows nothing of lets this many videos through at the most, the nearest of just these
are searched for; where it lets more through, enough of them are among the nearest of all."""
SCORE_DIGITS = 6
"""Scores are kept so in records; they are cut before anything is decided by them, so that it can be decided again."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found."""

    candidates: Sequence[Candidate]
    """Best first. Some may not be shown, or not pass a filter that the index knows nothing of."""
    embeddings: Mapping[str, Embedding]
    """Of all of them, by video id."""


class Retrieval:
    """Thread-safe."""

    def __init__(self, database: Database, index: VectorIndex, *, per_interest: int = 100) -> None:
        self._database = database
        self._index = index
        self._per_interest = per_interest

    def retrieve(
        self, model: ModelVersion, interests: Sequence[Interest], *, drop: Collection[str], only: VideoFilter
    ) -> Retrieved:
        """The videos nearest to the interests, without those in `drop`. IndexUnavailable, StoreUnavailable."""
        if not interests:
            return Retrieved((), {})
        queries = np.stack([interest.embedding for interest in interests])
        limit = min(self._per_interest + len(drop), MAX_RETRIEVED)
        among: Sequence[str] | None = None
        if not only.in_index:
            with self._database.snapshot() as uow:
                among = uow.catalogue.matching(only, limit=MAX_AMONG + 1)
            if len(among) > MAX_AMONG:
                among, limit = None, MAX_RETRIEVED
        hits = self._index.search(model, queries, limit=limit, only=only, among=among)
        embeddings = {hit.video_id: hit.embedding for found in hits for hit in found}
        scores = [[(hit.video_id, round(hit.score, SCORE_DIGITS)) for hit in found] for found in hits]
        return Retrieved(merge_hits(scores, [i.importance for i in interests], drop=drop), embeddings)
