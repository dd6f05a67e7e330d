"""A recommendation that was made before, made again: from what its record holds, and from what is there today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vidrec.application.ports import Database, VectorIndex
from vidrec.application.retrieval import Retrieval
from vidrec.domain.errors import NotFound
from vidrec.domain.filters import VideoFilter
from vidrec.domain.models import Candidate, Interest, ModelVersion, RecommendationRecord
from vidrec.domain.ranking import DIVERSITY, by_score, diversify


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it."""

    record: RecommendationRecord
    reranked: Sequence[Candidate]
    """The recorded candidates that were found for interests, re-ranked again; without those that are gone."""
    gone: int
    """Of these, how many cannot be re-ranked: deleted since, or not in the index any more."""
    today: Sequence[Candidate]
    """What a search for the recorded interests finds now, best first, at most as many as the page had; nothing seen or
    excluded."""
    titles: Mapping[str, str]
    """Of all videos named here that still exist, by id."""

    @property
    def recorded(self) -> Sequence[Candidate]:
        """The recorded candidates that were found for interests, in the order of the pages."""
        return [c for c in self.record.candidates if c.interest is not None]

    @property
    def same(self) -> bool:
        """Whether the re-ranking gives the recorded order."""
        return self.gone == 0 and list(self.reranked) == list(self.recorded)

    @property
    def found_again(self) -> int:
        """How many of `today` were on the recorded page."""
        page = {c.video_id for c in self.record.candidates[: self._page]}
        return sum(candidate.video_id in page for candidate in self.today)

    @property
    def _page(self) -> int:
        return int(self.record.parameters.get("n", 20))


def replay(recommendation_id: str, *, database: Database, index: VectorIndex) -> Replay:
    """Re-ranks what was recorded and searches anew with the recorded interests. NotFound where there is no such
    recommendation, or its model version is not there any more; IndexUnavailable, StoreUnavailable."""
    with database.snapshot() as uow:
        record = uow.recommendations.get(recommendation_id)
        if record is None:
            raise NotFound(f"there is no recommendation {recommendation_id}")
        model = next((m for m in uow.models.all() if m.version == record.model_version), None)
        seen = uow.interactions.seen(record.user_id)
    if model is None:
        if record.model_version:
            raise NotFound(f"model version {record.model_version} of that recommendation is not there any more")
        return Replay(record, (), 0, (), _titles(database, record.candidates))
    reranked, gone = _reranked(record, model, index)
    drop = {*seen, *record.parameters.get("exclude", ())}
    today = _today(database, index, record, model, drop=drop)
    return Replay(record, reranked, gone, today, _titles(database, [*record.candidates, *today]))


def _standing(record: RecommendationRecord, model: ModelVersion, index: VectorIndex) -> list[Interest]:
    """The recorded interests whose medoid still has an embedding."""
    medoids = [str(i["video_id"]) for i in record.interests if i["video_id"]]
    embeddings = index.videos(model, medoids) if medoids else {}
    return [
        Interest(
            video_id=i["video_id"],
            embedding=embeddings[i["video_id"]],
            importance=float(i["importance"]),
            members=tuple(i["members"]),
        )
        for i in record.interests
        if i["video_id"] in embeddings
    ]


def _reranked(record: RecommendationRecord, model: ModelVersion, index: VectorIndex) -> tuple[Sequence[Candidate], int]:
    recorded = [c for c in record.candidates if c.interest is not None]
    embeddings = index.videos(model, [c.video_id for c in recorded if c.video_id]) if recorded else {}
    importances = [float(i["importance"]) for i in record.interests]
    left = by_score([c for c in recorded if c.video_id in embeddings], importances)
    diversity = float(record.parameters.get("diversity", DIVERSITY))
    return diversify(left, importances, embeddings, diversity=diversity), len(recorded) - len(left)


def _today(
    database: Database,
    index: VectorIndex,
    record: RecommendationRecord,
    model: ModelVersion,
    *,
    drop: set[str],
) -> Sequence[Candidate]:
    only = _filter(record.parameters)
    interests = _standing(record, model, index)
    found = Retrieval(database, index).retrieve(model, interests, drop=drop, only=only).candidates
    with database.snapshot() as uow:
        shown = uow.catalogue.recommendable([c.video_id for c in found], only=only)
    return [c for c in found if c.video_id in shown][: int(record.parameters.get("n", 20))]


def _filter(parameters: Mapping[str, Any]) -> VideoFilter:
    since = parameters.get("since")
    return VideoFilter(
        category=parameters.get("category"),
        tags=frozenset(parameters.get("tags", ())),
        min_duration_s=parameters.get("min_duration_s"),
        max_duration_s=parameters.get("max_duration_s"),
        since=None if since is None else datetime.fromisoformat(since),
    )


def _titles(database: Database, candidates: Sequence[Candidate]) -> Mapping[str, str]:
    with database.snapshot() as uow:
        found = uow.catalogue.get(sorted({c.video_id for c in candidates if c.video_id}))
    return {video.id: video.title for video in found.values()}
