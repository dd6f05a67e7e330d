"""What is known of users' tastes: their profiles, shown to them, and interests that they remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vidrec.application.ports import Database, UnitOfWork, VectorIndex
from vidrec.domain.errors import Conflict, NotFound
from vidrec.domain.models import (
    Embedding,
    Interest,
    ModelVersion,
    UserProfile,
    Video,
    VideoStatus,
    WatchedVideo,
    utc_now,
)
from vidrec.domain.profile import build_profile

SHOWN_MEMBERS = 6
"""Watched videos that are shown of each interest."""


@dataclass(frozen=True, slots=True)
class ShownInterest:
    """One interest with the watched videos that it comes from."""

    interest: Interest
    videos: Sequence[Video]
    """The medoid, then the other members, most important first; those that were deleted since are left out."""


@dataclass(frozen=True, slots=True)
class ShownProfile:
    """A profile as its user may see it."""

    user_id: str
    model_version: str | None
    """None while there is no model."""
    interests: Sequence[ShownInterest]
    """Most important first."""


class UserProfiles:
    """Profiles are made of interactions when they are asked for, and kept until the user does something more.
    Thread-safe."""

    def __init__(self, database: Database, index: VectorIndex) -> None:
        self._database = database
        self._index = index

    def current(self, user_id: str, model: ModelVersion, profile: UserProfile | None, cutoff: int) -> UserProfile:
        """`profile`, as it was kept, where it holds what the user did up to `cutoff`; else a new one, which is kept.
        IndexUnavailable, StoreUnavailable."""
        if profile is not None and profile.cutoff >= cutoff:
            return profile
        with self._database.snapshot() as uow:
            cutoff = uow.interactions.cutoff(user_id)
            history = uow.interactions.history(user_id)
            removed = uow.interactions.removed_interests(user_id)
        embeddings = self._embeddings(model, history, removed)
        profile = build_profile(
            user_id, model.version, history, embeddings, removed=removed, cutoff=cutoff, now=utc_now()
        )
        missing = [row.video_id for row in history if row.weight > 0 and row.video_id not in embeddings]
        if not self._some_will_be_indexed(missing, model.version):
            with self._database.transaction() as uow:
                if is_known(uow, user_id, cutoff):
                    uow.profiles.put(profile)
        return profile

    def refresh(self, user_id: str) -> UserProfile | None:
        """The profile up to the user's last interaction; None while there is no model."""
        with self._database.snapshot() as uow:
            model, profile, cutoff = _kept(uow, user_id)
        return self.current(user_id, model, profile, cutoff) if model else None

    def shown(self, user_id: str) -> ShownProfile:
        """The present profile with its videos; without interests for a user of whom nothing is known.
        IndexUnavailable, StoreUnavailable."""
        profile = self.refresh(user_id)
        if profile is None:
            return ShownProfile(user_id, None, ())
        ids = {video_id for i in profile.interests for video_id in _members(i)}
        with self._database.snapshot() as uow:
            videos = uow.catalogue.get(sorted(ids), model_version=profile.model_version)
        interests = [_with_videos(interest, videos) for interest in profile.interests]
        return ShownProfile(user_id, profile.model_version, interests)

    def remove_interest(self, user_id: str, number: int, *, video_id: str | None = None) -> None:
        """Removes the interest of this number, from 0, of the present profile: it stays away. NotFound where there is
        none of that number; Conflict where `video_id` is given and is not the video that stands for it now."""
        profile = self.refresh(user_id)
        interests = profile.interests if profile else ()
        if number >= len(interests):
            raise NotFound(f"the user has {len(interests)} interests, numbered from 0: there is no {number}")
        interest = interests[number]
        if video_id not in (None, interest.video_id):
            raise Conflict(f"the profile has changed: {video_id} does not stand for interest {number} any more")
        with self._database.transaction() as uow:
            if profile and is_known(uow, user_id, profile.cutoff):  # nothing is written of a user who was erased
                uow.interactions.remove_interest(user_id, {interest.video_id, *interest.members})

    def _embeddings(
        self, model: ModelVersion, history: Sequence[WatchedVideo], removed: Sequence[frozenset[str]]
    ) -> Mapping[str, Embedding]:
        wanted = dict.fromkeys(row.video_id for row in history if row.weight > 0)
        if wanted:
            wanted |= dict.fromkeys(sorted(frozenset().union(*removed)))
        return self._index.videos(model, list(wanted)) if wanted else {}

    def _some_will_be_indexed(self, video_ids: Sequence[str], model_version: str) -> bool:
        """Whether the profile must be made again next time, since one of these watched videos will have a vector."""
        if not video_ids:
            return False
        with self._database.snapshot() as uow:
            videos = uow.catalogue.get(video_ids)
            never = uow.catalogue.unindexable(video_ids, model_version)
        return any(video.status is not VideoStatus.FAILED and video.id not in never for video in videos.values())


def is_known(uow: UnitOfWork, user_id: str, cutoff: int) -> bool:
    """Whether what was read of the user is still there: else the user was erased meanwhile, and nothing is written."""
    return uow.interactions.cutoff(user_id) >= cutoff


def _kept(uow: UnitOfWork, user_id: str) -> tuple[ModelVersion | None, UserProfile | None, int]:
    model = uow.models.active()
    profile = uow.profiles.get(user_id, model.version) if model else None
    return model, profile, uow.interactions.cutoff(user_id)


def _members(interest: Interest) -> Sequence[str]:
    others = [video_id for video_id in interest.members if video_id != interest.video_id]
    return [interest.video_id, *others][:SHOWN_MEMBERS]


def _with_videos(interest: Interest, videos: Mapping[str, Video]) -> ShownInterest:
    return ShownInterest(interest, [videos[v] for v in _members(interest) if v in videos])
