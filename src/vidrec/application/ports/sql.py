"""What is kept in SQL, and the transaction that holds it together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vidrec.application.ports.access import KeyRecords
from vidrec.application.ports.erasure import Receipts, Traces
from vidrec.application.ports.splits import Splits
from vidrec.application.ports.uploads import ProgressNotes, UploadRecords
from vidrec.domain.errors import FailureReason
from vidrec.domain.filters import EVERY_VIDEO, VideoFilter
from vidrec.domain.models import (
    Interaction,
    MediaInfo,
    ModelVersion,
    NewVideo,
    Playback,
    RecommendationRecord,
    UserProfile,
    Video,
    VideoStatus,
    WatchedVideo,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoChanges:
    """Fields that a person may change; None leaves a field as it is."""

    external_id: str | None = None
    title: str | None = None
    category: str | None = None
    tags: tuple[str, ...] | None = None
    available: bool | None = None


class Catalogue(Protocol):
    """Videos and all that is known of them, but for vectors. Deleted videos are invisible unless a method says so."""

    def add(self, video: NewVideo, *, video_id: str | None = None, status: VideoStatus = VideoStatus.QUEUED) -> Video:
        """Inserts with a new id unless one is given, the file's name without extension as title unless one is given.
        Conflict where `external_id` is taken."""
        ...

    def receive(self, video_id: str, *, location: str, size_bytes: int, content_sha256: str) -> bool:
        """The bytes of a video that was `uploading` are at this location: status `queued`. The digest is empty where
        nobody knows it yet. False (and nothing written) where it is not `uploading` or deleted."""
        ...

    def set_sha256(self, video_id: str, content_sha256: str) -> None:
        """What was learned of the bytes while they were read; nothing where the video is deleted."""
        ...

    def withdraw(self, video_id: str) -> None:
        """Removes a video that is still `uploading`, as if it had never been announced."""
        ...

    def get(self, video_ids: Sequence[str], *, model_version: str | None = None) -> Mapping[str, Video]:
        """The videos that exist, by id; one query whatever the number. Unknown, deleted, malformed ids are absent.

        What they say of their indexing is that of the model version (default: the active one) where they are indexed
        under it, and else of one under which they are: `indexed_model` tells which."""
        ...

    def recommendable(self, video_ids: Sequence[str], *, only: VideoFilter = EVERY_VIDEO) -> Mapping[str, str]:
        """video id -> content_sha256 (empty where it is not known) of those that pass the filter and may be shown now:
        indexed, available, not deleted. A light query."""
        ...

    def matching(self, only: VideoFilter, *, limit: int) -> Sequence[str]:
        """Ids of at most `limit` videos that pass the filter and may be shown now, in no order."""
        ...

    def resolve(self, external_ids: Sequence[str]) -> Mapping[str, str]:
        """external id -> video id, for those that exist, deleted ones included (events about them are dropped)."""
        ...

    def find_by_sha256(self, digests: Sequence[str]) -> Mapping[str, Video]:
        """content_sha256 -> the oldest video of these bytes."""
        ...

    def find_by_location(self, locations: Sequence[str]) -> Mapping[str, Video]:
        """location -> the video whose original bytes are there."""
        ...

    def page(
        self, *, query: str | None, category: str | None, status: VideoStatus | None, after: str | None, limit: int
    ) -> Sequence[Video]:
        """Newest first. `query` is looked for in titles, case-insensitive, `%` and `_` literal. `after`: the id of the
        last video of the page before."""
        ...

    def change(self, video_id: str, changes: VideoChanges) -> Video:
        """Applies the changes and answers the video; NotFound; Conflict where `external_id` is taken."""
        ...

    def relocate(self, video_id: str, *, location: str, filename: str, source_mtime_ns: int | None) -> None:
        """The same bytes are elsewhere now, or were touched."""
        ...

    def mark_processing(self, video_id: str) -> None:
        """Status `processing`; nothing where the video is deleted, or indexed under any model version: it stays
        recommendable while it is indexed again."""
        ...

    def mark_indexed(self, video_id: str, *, model_version: str, media: MediaInfo, segment_count: int) -> bool:
        """The video is indexed under this model version; status `indexed`, any failure cleared. False (and nothing
        written) where the video is deleted or unknown. Of `media` what only probing tells is not kept."""
        ...

    def mark_unindexable(self, video_id: str, model_version: str, reason: FailureReason, message: str) -> None:
        """The video cannot be indexed under this model version, which says nothing of others; nothing where it is
        deleted, or indexed under it already."""
        ...

    def set_playback(self, video_id: str, playback: Playback, rendition: str | None = None) -> bool:
        """What is played of the video, and where the copy is. False (and nothing written) where it is deleted."""
        ...

    def without_playback(self, limit: int) -> Sequence[str]:
        """Ids of indexed videos of which that is not known, oldest first."""
        ...

    def mark_failed(self, video_id: str, reason: FailureReason, message: str) -> None:
        """Status `failed` with the reason, in words for the person who uploaded; nothing where the video is deleted."""
        ...

    def requeue(self, video_ids: Sequence[str]) -> None:
        """Status `queued` again, failure cleared; nothing for videos that are `indexed`."""
        ...

    def tombstone(self, video_id: str) -> Video:
        """Marks deleted and answers the video as it was; NotFound where unknown. Deleting twice is deleting once."""
        ...

    def deleted(self, video_ids: Sequence[str]) -> set[str]:
        """Which of these are deleted."""
        ...

    def scrub(self, video_id: str) -> None:
        """Removes what a tombstone still tells of the video: title, names, tags, location, indexings."""
        ...

    def popular(self, limit: int, *, only: VideoFilter = EVERY_VIDEO) -> Sequence[Video]:
        """Indexed, available videos by decayed popularity (forward decay, Cormode et al. 2009), highest first; videos
        without any interaction are not in it."""
        ...

    def recent(self, limit: int, *, only: VideoFilter = EVERY_VIDEO) -> Sequence[Video]:
        """Indexed, available videos, the last indexed first."""
        ...

    def counts(self) -> Mapping[VideoStatus, int]:
        """Number of videos by status."""
        ...

    def indexed_ids(self) -> Sequence[str]:
        """Ids of all videos that are indexed under any model version, oldest first."""
        ...

    def unindexed(self, model_version: str, *, limit: int, after: str | None = None) -> Sequence[str]:
        """Ids of videos that are indexed, but not under this model version, and did not fail under it; oldest first.
        `after`: the id of the last one before."""
        ...

    def indexed_under(self, model_version: str) -> tuple[int, int]:
        """How many videos are indexed under this model version, and how many of the indexed ones cannot be."""
        ...

    def unindexable(self, video_ids: Sequence[str], model_version: str) -> set[str]:
        """Which of these cannot be indexed under this model version."""
        ...

    def versions(self, video_id: str) -> set[str]:
        """The model versions under which the video is indexed."""
        ...

    def forget_version(self, model_version: str, *, failures_only: bool = False) -> None:
        """No video is indexed under this model version any more; or only what failed under it is forgotten, so that it
        is tried again."""
        ...


class Interactions(Protocol):
    """What users did. Append-only but for erasure."""

    def append(self, interactions: Sequence[Interaction]) -> int:
        """Inserts those whose (user_id, event_id) is new, updates popularity, answers how many were new. One statement
        per table, whatever the number."""
        ...

    def cutoff(self, user_id: str) -> int:
        """Sequence number of the user's last interaction; 0 where there is none."""
        ...

    def history(self, user_id: str, *, limit: int = 200) -> Sequence[WatchedVideo]:
        """The user's last `limit` distinct videos with what was done to them folded into a weight
        (`domain.profile.interaction_weight`), most recent first. Impressions alone do not make a row."""
        ...

    def remove_interest(self, user_id: str, video_ids: Collection[str]) -> None:
        """Notes that the user wants no more of an interest that was made of these videos. It counts as something that
        the user did: `cutoff` rises, so that profiles are made again."""
        ...

    def removed_interests(self, user_id: str) -> Sequence[frozenset[str]]:
        """The videos of each interest that the user removed, in the order of removal."""
        ...

    def after(self, sequence: int, *, limit: int) -> Sequence[tuple[int, Interaction]]:
        """At most `limit` interactions of all users whose sequence number is greater, with their numbers, ascending."""
        ...

    def seen(self, user_id: str) -> Mapping[str, str]:
        """video id -> content_sha256 of all videos that are not to be recommended to the user again: viewed, watched,
        liked, disliked, skipped, hidden. An impression alone is not seeing."""
        ...

    def erase_user(self, user_id: str) -> int:
        """Removes all of the user's interactions; answers how many."""
        ...

    def erase_video(self, video_id: str) -> int:
        """Removes all interactions with the video; answers how many."""
        ...


class Profiles(Protocol):
    """User profiles, one per user and model version."""

    def get(self, user_id: str, model_version: str) -> UserProfile | None: ...

    def put(self, profile: UserProfile) -> None:
        """Replaces; a profile of an older cutoff never replaces one of a newer."""
        ...

    def erase_user(self, user_id: str) -> None: ...

    def erase_video(self, video_id: str) -> None:
        """Removes profiles in which the video is a medoid or member, so that they are made again without it."""
        ...


class Recommendations(Protocol):
    """Recommendation records."""

    def add(self, record: RecommendationRecord) -> None: ...

    def get(self, recommendation_id: str) -> RecommendationRecord | None: ...

    def erase_user(self, user_id: str) -> None: ...

    def erase_video(self, video_id: str) -> None:
        """Scrubs the video from all records; of a candidate its place and score stay, under an empty id."""
        ...

    def prune(self, older_than: datetime) -> int:
        """Removes records made before; answers how many."""
        ...


@dataclass(frozen=True, slots=True)
class ModelRoles:
    """What the one row says of model versions."""

    active: ModelVersion | None = None
    """Requests are answered with it."""
    prepared: ModelVersion | None = None
    """It is to become the active one: the library is embedded with it, and so is what arrives."""
    previous: ModelVersion | None = None
    """The active one before, kept to go back to."""


class ModelVersions(Protocol):
    """The model versions known and the one row that names the active one."""

    def register(self, model: ModelVersion) -> None:
        """Idempotent."""
        ...

    def active(self) -> ModelVersion | None: ...

    def roles(self) -> ModelRoles:
        """The active one and those beside it, of one state."""
        ...

    def activate(self, version: str) -> None:
        """Moves the one row: the active one becomes the previous one, and none is prepared any more. NotFound where the
        version is not registered."""
        ...

    def prepare(self, version: str | None) -> None:
        """Names the one that is to become active; None: none any more. NotFound where it is not registered; Conflict
        while no model is active."""
        ...

    def remove(self, version: str) -> None:
        """Forgets a version; Conflict where it is the active one."""
        ...

    def all(self) -> Sequence[ModelVersion]: ...


class UnitOfWork(Protocol):
    """One SQL transaction. All that is done through it happens together or not at all."""

    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def interactions(self) -> Interactions: ...
    @property
    def profiles(self) -> Profiles: ...
    @property
    def recommendations(self) -> Recommendations: ...
    @property
    def models(self) -> ModelVersions: ...
    @property
    def receipts(self) -> Receipts: ...
    @property
    def traces(self) -> Traces: ...
    @property
    def uploads(self) -> UploadRecords: ...
    @property
    def progress(self) -> ProgressNotes: ...
    @property
    def splits(self) -> Splits: ...
    @property
    def keys(self) -> KeyRecords: ...


class Database(Protocol):
    """The SQL store. StoreUnavailable where it does not answer."""

    def transaction(self) -> AbstractContextManager[UnitOfWork]:
        """A write transaction: committed at the end of the block, rolled back on any exception."""
        ...

    def snapshot(self) -> AbstractContextManager[UnitOfWork]:
        """A read-only transaction: all reads in the block see one state."""
        ...

    def ping(self) -> None:
        """Returns where the store answers and its schema is the one this code needs."""
        ...

    def close(self) -> None: ...
