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
from vidrec.application.ports import Database, UnitOfWork, VectorIndex
from vidrec.application.segment_cache import SegmentCache
from vidrec.application.spotlight import Spotlight
from vidrec.domain.errors import Conflict, IndexUnavailable, InvalidCursor, NotFound, StoreUnavailable
from vidrec.domain.models import (
    Candidate,
    Embedding,
    ModelVersion,
    RecommendationRecord,
    UserProfile,
    Video,
    VideoStatus,
    new_id,
    utc_now,
)
from vidrec.domain.profile import build_profile
from vidrec.domain.ranking import collapse, diversify, merge_hits

log = logging.getLogger(__name__)

MAX_CANDIDATES = 500
"""Longest list that one recommendation can be paged through."""
MAX_RETRIEVED = 1000
"""Most neighbours asked for per interest, however much the user has seen."""
CHECKED_BEYOND = 20
"""Of the popular and fresh videos at the end of a list so many more than a page has are looked up in SQL at once; the
rest are as old as the list in memory, and are looked up when they are paged to."""
WATCHED_PER_INTEREST = 3
"""So many watched videos of an interest are looked into for the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What one request asks."""

    user_id: str
    n: int = 20
    exclude: frozenset[str] = frozenset()
    category: str | None = None
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
        self._per_interest = candidates_per_interest
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
        found = self._neighbours(model, embedding, n, category=category)
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

    def refresh_profile(self, user_id: str) -> UserProfile | None:
        """Brings the stored profile up to the user's last interaction, as the user's next request would; None while
        there is no model."""
        with self._database.snapshot() as uow:
            model = uow.models.active()
            cutoff = uow.interactions.cutoff(user_id)
            profile = uow.profiles.get(user_id, model.version) if model else None
        return self._current_profile(user_id, model, profile, cutoff) if model else None

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
        candidates: list[Candidate] = []
        degraded = False
        if model and cutoff:
            try:
                profile = self._current_profile(query.user_id, model, profile, cutoff)
                candidates = self._candidates(model, profile, drop, query.category)
            except IndexUnavailable as error:
                log.warning("answering a popular list: %s", error)
                degraded, profile = True, None
        strategy = "content" if candidates else "popular"
        cold = self._spotlight.candidates(
            query.category,
            drop=drop | {c.video_id for c in candidates},
            limit=max(0, MAX_CANDIDATES - len(candidates)),
        )
        checked, unchecked = [*candidates, *cold[: query.n + CHECKED_BEYOND]], cold[query.n + CHECKED_BEYOND :]
        held = self._spotlight.videos() if unchecked else {}
        with self._database.snapshot() as uow:
            shown = {
                **{c.video_id: held[c.video_id].content_sha256 for c in unchecked if c.video_id in held},
                **uow.catalogue.recommendable([c.video_id for c in checked]),
            }
        record = RecommendationRecord(
            id=new_id(),
            user_id=query.user_id,
            created_at=utc_now(),
            model_version=model.version if model else "",
            code_version=__version__,
            strategy=strategy,
            degraded=degraded,
            interaction_cutoff=cutoff,
            interests=_recorded(profile),
            parameters={"n": query.n, "category": query.category, "exclude": sorted(query.exclude)},
            candidates=tuple(_distinct([*checked, *unchecked], shown, seen)[:MAX_CANDIDATES]),
        )
        with self._database.transaction() as uow:
            if _is_known(uow, query.user_id, cutoff):
                uow.recommendations.add(record)
        return record, model

    def _current_profile(
        self, user_id: str, model: ModelVersion, profile: UserProfile | None, cutoff: int
    ) -> UserProfile:
        if profile is not None and profile.cutoff >= cutoff:
            return profile
        with self._database.snapshot() as uow:
            cutoff = uow.interactions.cutoff(user_id)
            history = uow.interactions.history(user_id)
        liked = [row.video_id for row in history if row.weight > 0]
        embeddings = self._index.videos(model, liked) if liked else {}
        profile = build_profile(user_id, model.version, history, embeddings, cutoff=cutoff, now=utc_now())
        if not self._some_will_be_indexed([v for v in liked if v not in embeddings], model.version):
            with self._database.transaction() as uow:
                if _is_known(uow, user_id, cutoff):
                    uow.profiles.put(profile)
        return profile

    def _some_will_be_indexed(self, video_ids: Sequence[str], model_version: str) -> bool:
        """Whether the profile must be made again next time, since one of these watched videos will have a vector."""
        if not video_ids:
            return False
        with self._database.snapshot() as uow:
            videos = uow.catalogue.get(video_ids)
            never = uow.catalogue.unindexable(video_ids, model_version)
        return any(video.status is not VideoStatus.FAILED and video.id not in never for video in videos.values())

    def _candidates(
        self, model: ModelVersion, profile: UserProfile, drop: set[str], category: str | None
    ) -> list[Candidate]:
        if not profile.interests:
            return []
        queries = np.stack([interest.embedding for interest in profile.interests])
        limit = min(self._per_interest + len(drop), MAX_RETRIEVED)
        hits = self._index.search(model, queries, limit=limit, category=category)
        embeddings = {hit.video_id: hit.embedding for found in hits for hit in found}
        merged = merge_hits([[(h.video_id, h.score) for h in found] for found in hits], profile.interests, drop=drop)
        return diversify(merged, profile.interests, embeddings, diversity=self._diversity)

    def _neighbours(
        self, model: ModelVersion, embedding: Embedding, n: int, *, category: str | None = None
    ) -> list[Candidate]:
        hits = self._index.search(model, embedding[np.newaxis], limit=n + 50, category=category)[0]
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
        candidates = self._spotlight.candidates(query.category, drop=query.exclude, limit=query.n)
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


def _recorded(profile: UserProfile | None) -> tuple[Mapping[str, Any], ...]:
    interests = profile.interests if profile else ()
    return tuple(
        {"video_id": i.video_id, "importance": round(i.importance, 6), "members": list(i.members)} for i in interests
    )


def _is_known(uow: UnitOfWork, user_id: str, cutoff: int) -> bool:
    """Whether what was read of the user is still there: else the user was erased meanwhile, and nothing is written."""
    return uow.interactions.cutoff(user_id) >= cutoff


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
