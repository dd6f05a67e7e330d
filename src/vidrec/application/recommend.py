"""Which videos to watch next, and why.

A request goes the way drawn in docs/architecture.md: interests from SQL, one batched search, re-ranking in the domain,
one read of the page's segments for the reasons, one SQL read for titles. Nothing is asked per item.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vidrec import __version__
from vidrec.application.cursor import Cursor
from vidrec.application.explain import Item, Why, why_like_picture, why_like_watched
from vidrec.application.ports import Database, VectorIndex
from vidrec.application.profiles import UserProfiles, is_known
from vidrec.application.retrieval import Retrieval, Retrieved
from vidrec.application.segment_cache import SegmentCache
from vidrec.application.spotlight import Spotlight
from vidrec.domain.errors import Conflict, IndexUnavailable, InvalidCursor, NotFound, StoreUnavailable
from vidrec.domain.filters import EVERY_VIDEO, VideoFilter
from vidrec.domain.models import (
    Candidate,
    Embedding,
    ModelVersion,
    RecommendationRecord,
    UserProfile,
    Video,
    new_id,
    utc_now,
)
from vidrec.domain.ranking import cold_start, collapse, diversify

log = logging.getLogger(__name__)

MAX_CANDIDATES = 500
"""Longest list that one recommendation can be paged through."""
CHECKED_BEYOND = 20
"""Of the popular and fresh videos at the end of a list so many more than a page has are looked up in SQL at once; the
rest are as old as the list in memory, and are looked up when they are paged to."""
FILTERED_COLD = 100
"""Popular videos, and as many fresh ones, that are looked for under a filter."""
WATCHED_PER_INTEREST = 3
"""So many watched videos of an interest are looked into for the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What one request asks."""

    user_id: str
    n: int = 20
    exclude: frozenset[str] = frozenset()
    only: VideoFilter = EVERY_VIDEO
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a recommendation."""

    recommendation_id: str
    user_id: str
    strategy: str
    """`content`: from the user's own interests; `popular`: nothing is known of the user, or nothing can be asked."""
    degraded: bool
    """True where the answer is poorer than it should be because a store does not answer."""
    model_version: str | None
    items: Sequence[Item]
    next_cursor: str | None


class Recommender:
    """The consumer side's use cases. Thread-safe."""

    def __init__(
        self,
        database: Database,
        index: VectorIndex,
        spotlight: Spotlight,
        *,
        candidates_per_interest: int = 100,
        diversity: float = 0.3,
    ) -> None:
        self._database = database
        self._index = index
        self._segments = SegmentCache(index)
        self._spotlight = spotlight
        self._profiles = UserProfiles(database, index)
        self._retrieval = Retrieval(database, index, per_interest=candidates_per_interest)
        self._diversity = diversity

    def recommend(self, query: Query) -> Page:
        """A page of videos for the user, best first. With the vector index unreachable a popular and fresh list that
        says `degraded`; with SQL unreachable the list held in memory (StoreUnavailable where there is none yet).
        InvalidCursor where `query.cursor` does not belong to a recommendation of this user."""
        try:
            if query.cursor is None:
                record, model = self._new_record(query)
                return self._page(record, model, 0, query.n)
            cursor = Cursor.decode(query.cursor)
            with self._database.snapshot() as uow:
                found = uow.recommendations.get(cursor.id)
                models = {m.version: m for m in uow.models.all()}
            if found is None or found.user_id != query.user_id:
                raise InvalidCursor
            return self._page(found, models.get(found.model_version), cursor.offset, query.n)
        except StoreUnavailable as error:
            log.warning("answering from memory: %s", error)
            return self._from_memory(query)

    def similar(self, video_id: str, *, n: int, category: str | None = None) -> Sequence[Item]:
        """Videos like this one, best first, each with the pair of moments that are most alike. NotFound where the video
        does not exist; empty where it is not indexed yet."""
        with self._database.snapshot() as uow:
            model = uow.models.active()
            version = model.version if model else None
            video = uow.catalogue.get([video_id], model_version=version).get(video_id)
        if video is None:
            raise NotFound(f"there is no video {video_id}")
        embedding = self._index.videos(model, [video_id]).get(video_id) if model else None
        if model is None or embedding is None:
            return []
        found = self._neighbours(model, embedding, n, only=VideoFilter(category=category))
        with self._database.snapshot() as uow:
            shown = uow.catalogue.recommendable([c.video_id for c in found])
            kept = _distinct(found, shown, {video_id: video.content_sha256})[:n]
            videos = uow.catalogue.get([c.video_id for c in kept], model_version=model.version)
        return self._explain(model, kept, {**videos, video_id: video}, [[video_id]])

    def nearest(self, embedding: Embedding, *, n: int, model_version: str) -> Sequence[Item]:
        """Videos nearest to an embedding of this model version, best first, also where another one has become active
        since it was made. Conflict where that version is not known any more."""
        with self._database.snapshot() as uow:
            model = next((m for m in uow.models.all() if m.version == model_version), None)
        if model is None:
            raise Conflict(f"model version {model_version} is not there any more: search again")
        found = self._neighbours(model, embedding, n)
        with self._database.snapshot() as uow:
            kept = _distinct(found, uow.catalogue.recommendable([c.video_id for c in found]), {})[:n]
            videos = uow.catalogue.get([c.video_id for c in kept], model_version=model.version)
        kept = [c for c in kept if c.video_id in videos]
        segments = self._segments.segments(model, [videos[c.video_id] for c in kept])
        return [
            Item(
                video=videos[c.video_id],
                score=c.score,
                why=why_like_picture(embedding, segments.get(c.video_id, ())),
            )
            for c in kept
        ]

    def record(self, recommendation_id: str) -> RecommendationRecord:
        """What a recommendation was made from, without videos that were deleted since; NotFound."""
        with self._database.snapshot() as uow:
            found = uow.recommendations.get(recommendation_id)
            if found is None:
                raise NotFound(f"there is no recommendation {recommendation_id}")
            # An erasure scrubs them from the record, a little later.
            return _without(found, uow.catalogue.deleted(sorted(_named(found))))

    # ------------------------------------------------------------------------------------------ steps

    def _new_record(self, query: Query) -> tuple[RecommendationRecord, ModelVersion | None]:
        with self._database.snapshot() as uow:
            model = uow.models.active()
            cutoff = uow.interactions.cutoff(query.user_id)
            profile = uow.profiles.get(query.user_id, model.version) if model and cutoff else None
            seen = uow.interactions.seen(query.user_id) if cutoff else {}
        drop = {*seen, *query.exclude}
        found = Retrieved((), {})
        degraded = False
        if model and cutoff:
            try:
                profile = self._profiles.current(query.user_id, model, profile, cutoff)
                found = self._retrieval.retrieve(model, profile.interests, drop=drop, only=query.only)
            except IndexUnavailable as error:
                log.warning("answering a popular list: %s", error)
                degraded, profile = True, None
        near = found.candidates
        cold = self._cold(query.only, drop | {c.video_id for c in near}, MAX_CANDIDATES - len(near))
        looked_up = query.n + CHECKED_BEYOND if query.only.is_open else len(cold)
        checked, unchecked = [*near, *cold[:looked_up]], cold[looked_up:]
        held = self._spotlight.videos() if unchecked else {}
        with self._database.snapshot() as uow:
            shown = {
                **{c.video_id: held[c.video_id].content_sha256 for c in unchecked if c.video_id in held},
                **uow.catalogue.recommendable([c.video_id for c in checked], only=query.only),
            }
        kept = _distinct([*checked, *unchecked], shown, seen)
        importances = [i.importance for i in profile.interests] if profile else []
        near = diversify(
            [c for c in kept if c.interest is not None], importances, found.embeddings, diversity=self._diversity
        )
        record = RecommendationRecord(
            id=new_id(),
            user_id=query.user_id,
            created_at=utc_now(),
            model_version=model.version if model else "",
            code_version=__version__,
            strategy="content" if near else "popular",
            degraded=degraded,
            interaction_cutoff=cutoff,
            interests=_recorded(profile),
            parameters={
                "n": query.n,
                **_recorded_filter(query.only),
                "exclude": sorted(query.exclude),
                "diversity": self._diversity,
            },
            candidates=(*near, *(c for c in kept if c.interest is None))[:MAX_CANDIDATES],
        )
        with self._database.transaction() as uow:
            if is_known(uow, query.user_id, cutoff):
                uow.recommendations.add(record)
        return record, model

    def _cold(self, only: VideoFilter, drop: set[str], limit: int) -> list[Candidate]:
        """Popular and fresh videos that pass: from memory, or from SQL where few of those in memory may pass."""
        if only.is_open or limit <= 0:
            return self._spotlight.candidates(drop=drop, limit=max(0, limit))
        with self._database.snapshot() as uow:
            lists = [uow.catalogue.popular(FILTERED_COLD, only=only), uow.catalogue.recent(FILTERED_COLD, only=only)]
        popular, fresh = ([video.id for video in videos] for videos in lists)
        return cold_start(popular, fresh, drop=drop, limit=limit)

    def _neighbours(
        self, model: ModelVersion, embedding: Embedding, n: int, *, only: VideoFilter = EVERY_VIDEO
    ) -> list[Candidate]:
        hits = self._index.search(model, embedding[np.newaxis], limit=n + 50, only=only)[0]
        return [Candidate(video_id=h.video_id, score=h.score, source="similar", interest=0) for h in hits]

    def _page(self, record: RecommendationRecord, model: ModelVersion | None, offset: int, n: int) -> Page:
        """The record's next n candidates that still may be shown, with their reasons."""
        members = [[str(v) for v in interest["members"][:WATCHED_PER_INTEREST]] for interest in record.interests]
        rest = record.candidates[offset:]
        with self._database.snapshot() as uow:
            shown = uow.catalogue.recommendable([c.video_id for c in rest]) if offset else None
            kept = [c for c in rest if shown is None or c.video_id in shown][:n]
            used = {c.interest for c in kept}
            watched = [v for i, ids in enumerate(members) if i in used for v in ids]
            version = model.version if model else None
            videos = uow.catalogue.get([*(c.video_id for c in kept), *watched], model_version=version)
        kept = [c for c in kept if c.video_id in videos]
        degraded = record.degraded
        try:
            items = self._explain(model, kept, videos, members)
        except IndexUnavailable:
            degraded = True
            items = [_unexplained(c, videos) for c in kept]
        end = offset + (rest.index(kept[-1]) + 1 if kept else len(rest))
        return Page(
            recommendation_id=record.id,
            user_id=record.user_id,
            strategy=record.strategy,
            degraded=degraded,
            model_version=record.model_version or None,
            items=items,
            next_cursor=Cursor(record.id, end).encode() if end < len(record.candidates) else None,
        )

    def _explain(
        self,
        model: ModelVersion | None,
        candidates: Sequence[Candidate],
        videos: Mapping[str, Video],
        members: Sequence[Sequence[str]],
    ) -> list[Item]:
        """Items in the candidates' order; `members[i]` are the watched videos of interest i. One read of the index."""
        similar = [c for c in candidates if c.interest is not None]
        wanted = {c.video_id for c in similar} | {v for c in similar for v in members[c.interest or 0]}
        segments = self._segments.segments(model, [videos[v] for v in wanted if v in videos]) if model else {}
        return [
            Item(
                video=videos[c.video_id],
                score=c.score,
                why=Why(type=c.source)
                if c.interest is None
                else why_like_watched(c, [videos[v] for v in members[c.interest] if v in videos], segments),
            )
            for c in candidates
        ]

    def _from_memory(self, query: Query) -> Page:
        candidates = self._spotlight.candidates(query.only, drop=query.exclude, limit=query.n)
        videos = self._spotlight.videos()
        return Page(
            recommendation_id=new_id(),
            user_id=query.user_id,
            strategy="popular",
            degraded=True,
            model_version=None,
            items=[_unexplained(c, videos) for c in candidates if c.video_id in videos],
            next_cursor=None,
        )


def _distinct(candidates: Sequence[Candidate], shown: Mapping[str, str], seen: Mapping[str, str]) -> list[Candidate]:
    """Those that may be shown, one per content, none that has the bytes of a seen video."""
    allowed = [c for c in candidates if c.video_id in shown and c.video_id not in seen]
    # A video whose bytes are not known is like no other.
    return collapse(allowed, lambda video_id: shown[video_id] or video_id, taken=set(filter(None, seen.values())))


def _unexplained(candidate: Candidate, videos: Mapping[str, Video]) -> Item:
    return Item(video=videos[candidate.video_id], score=candidate.score, why=Why(type=candidate.source))


def _recorded_filter(only: VideoFilter) -> Mapping[str, Any]:
    return {
        "category": only.category,
        "tags": sorted(only.tags),
        "min_duration_s": only.min_duration_s,
        "max_duration_s": only.max_duration_s,
        "since": None if only.since is None else only.since.isoformat(),
    }


def _recorded(profile: UserProfile | None) -> tuple[Mapping[str, Any], ...]:
    interests = profile.interests if profile else ()
    return tuple({"video_id": i.video_id, "importance": i.importance, "members": list(i.members)} for i in interests)


def _named(record: RecommendationRecord) -> set[str]:
    """Ids of all videos that the record names."""
    of_interests = {v for i in record.interests for v in (i["video_id"], *i["members"]) if v}
    shown = {candidate.video_id for candidate in record.candidates if candidate.video_id}
    return of_interests | shown | set(record.parameters.get("exclude", []))


def _without(record: RecommendationRecord, gone: set[str]) -> RecommendationRecord:
    if not gone:
        return record
    interests = tuple(
        {
            **interest,
            "video_id": None if interest["video_id"] in gone else interest["video_id"],
            "members": [v for v in interest["members"] if v not in gone],
        }
        for interest in record.interests
    )
    exclude = [v for v in record.parameters.get("exclude", []) if v not in gone]
    candidates = tuple(c for c in record.candidates if c.video_id not in gone)
    parameters = {**record.parameters, "exclude": exclude}
    return replace(record, interests=interests, parameters=parameters, candidates=candidates)
