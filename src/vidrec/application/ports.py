"""What the use cases need from the outside, in the domain's words. One adapter per system implements each port;
fakes and real adapters pass the same suite in `tests/contract`. Adapters raise only `vidrec.domain.errors`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from vidrec.domain.errors import FailureReason
from vidrec.domain.models import (
    Embedding,
    Embeddings,
    Frames,
    Interaction,
    Job,
    JobState,
    MediaInfo,
    ModelVersion,
    NewJob,
    NewVideo,
    RecommendationRecord,
    SampledFrames,
    Segment,
    TimeRange,
    UserProfile,
    Video,
    VideoStatus,
    VideoVector,
    WatchedVideo,
)

# ---------------------------------------------------------------------------------------------- SQL


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

    def add(self, video: NewVideo) -> Video:
        """Inserts with a new id, status `queued`, the file's name without extension as title unless one is given.
        Conflict where `external_id` is taken."""
        ...

    def get(self, video_ids: Sequence[str]) -> Mapping[str, Video]:
        """The videos that exist, by id; one query whatever the number. Unknown, deleted, malformed ids are absent."""
        ...

    def recommendable(self, video_ids: Sequence[str]) -> Mapping[str, str]:
        """video id -> content_sha256 of those that may be shown now: indexed, available, not deleted. A light query."""
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
        """Status `processing`; nothing where the video is deleted."""
        ...

    def mark_indexed(self, video_id: str, *, model_version: str, media: MediaInfo, segment_count: int) -> bool:
        """Status `indexed`, any failure cleared. False (and nothing written) where the video is deleted or unknown."""
        ...

    def mark_failed(self, video_id: str, reason: FailureReason, message: str) -> None:
        """Status `failed` with the reason, in words for the person who uploaded; nothing where the video is deleted."""
        ...

    def requeue(self, video_ids: Sequence[str]) -> None:
        """Status `queued` again, failure cleared."""
        ...

    def tombstone(self, video_id: str) -> Video:
        """Marks deleted and answers the video as it was; NotFound where unknown. Deleting twice is deleting once."""
        ...

    def deleted(self, video_ids: Sequence[str]) -> set[str]:
        """Which of these are deleted."""
        ...

    def scrub(self, video_id: str) -> None:
        """Removes what a tombstone still tells of the video: title, names, tags, location."""
        ...

    def popular(self, limit: int, *, category: str | None = None) -> Sequence[Video]:
        """Indexed, available videos by decayed popularity (forward decay, Cormode et al. 2009), highest first; videos
        without any interaction are not in it."""
        ...

    def recent(self, limit: int, *, category: str | None = None) -> Sequence[Video]:
        """Indexed, available videos, the last indexed first."""
        ...

    def counts(self) -> Mapping[VideoStatus, int]:
        """Number of videos by status."""
        ...

    def indexed_ids(self) -> Sequence[str]:
        """Ids of all videos that are indexed under any model version, oldest first."""
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
        """Scrubs the video from all records."""
        ...

    def prune(self, older_than: datetime) -> int: ...


class ModelVersions(Protocol):
    """The model versions known and the one row that names the active one."""

    def register(self, model: ModelVersion) -> None:
        """Idempotent."""
        ...

    def active(self) -> ModelVersion | None: ...

    def activate(self, version: str) -> None:
        """Moves the one row; NotFound where the version is not registered."""
        ...

    def all(self) -> Sequence[ModelVersion]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that an erasure was asked for, and when it was done."""

    id: str
    kind: str
    """`video` or `user`."""
    subject: str
    requested_at: datetime
    completed_at: datetime | None


class Receipts(Protocol):
    """Erasure receipts."""

    def open(self, kind: str, subject: str) -> Receipt:
        """The receipt of this erasure: a new one, or the open one where it was asked for before."""
        ...

    def complete(self, receipt_id: str) -> None: ...

    def get(self, receipt_id: str) -> Receipt | None: ...


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


class JobQueue(Protocol):
    """At-least-once work. A leased job that is not renewed in time is leased to somebody else; after
    `max_attempts` leases it is exhausted."""

    def enqueue(self, uow: UnitOfWork, jobs: Sequence[NewJob]) -> Sequence[str]:
        """Takes part in the caller's transaction; answers the ids in order."""
        ...

    def lease(self, kinds: Sequence[str], *, lease_s: float) -> Job | None:
        """The next job that is due (priority, then age), leased to the caller under a new token; None where none is
        due. A job never has two live tokens."""
        ...

    def renew(self, job: Job, *, lease_s: float) -> None:
        """Extends the lease; LeaseLost."""
        ...

    def complete(self, uow: UnitOfWork, job: Job) -> None:
        """Done, in the same transaction as the job's effects; LeaseLost rolls both back."""
        ...

    def retry(self, job: Job, error: str) -> None:
        """Queued again after a backoff that grows with the attempts (or exhausted: see `bury`); nothing where the
        lease is lost."""
        ...

    def release(self, job: Job) -> None:
        """Gives an unfinished job back at once without counting the attempt (a worker that shuts down); nothing where
        the lease is lost."""
        ...

    def fail(self, uow: UnitOfWork, job: Job, error: str) -> None:
        """Dead at once, for work that can never succeed; in the caller's transaction; LeaseLost."""
        ...

    def bury(self, uow: UnitOfWork) -> Sequence[Job]:
        """Moves exhausted jobs (attempts used up and no live lease) to `dead` and answers them."""
        ...

    def cancel(self, uow: UnitOfWork, *, job_id: str | None = None, video_id: str | None = None) -> int:
        """Cancels queued and running jobs, by job or by video; a running one's lease is lost. Answers how many."""
        ...

    def get(self, job_ids: Sequence[str]) -> Mapping[str, Job]: ...

    def list(self, *, state: JobState | None = None, limit: int = 100) -> Sequence[Job]:
        """Newest first."""
        ...

    def counts(self) -> Mapping[JobState, int]: ...


# ------------------------------------------------------------------------------------------- vectors


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour."""

    video_id: str
    score: float
    """Cosine, -1 to 1."""
    embedding: Embedding
    """The neighbour's own vector, for re-ranking without another call."""


class VectorIndex(Protocol):
    """Embeddings of one model version: one row per video and one row per segment. IndexUnavailable where it does not
    answer."""

    def create(self, model: ModelVersion) -> None:
        """Makes both collections ready to be written and searched; idempotent."""
        ...

    def drop(self, model: ModelVersion) -> None:
        """Removes both collections; nothing where they do not exist."""
        ...

    def upsert(self, model: ModelVersion, video: VideoVector, segments: Sequence[Segment]) -> None:
        """Replaces all that is held of this video: segments beyond the new count are gone afterwards. When it returns,
        the vectors survive a kill of the index process. The video row is written last: a video that can be found has
        all its segments."""
        ...

    def recategorise(self, model: ModelVersion, video_id: str, category: str | None) -> None:
        """Changes the category that searches filter by; nothing where the video has no row."""
        ...

    def delete(self, model: ModelVersion, video_ids: Sequence[str]) -> None:
        """Removes the videos' rows in both collections; unknown ids are no error."""
        ...

    def search(
        self, model: ModelVersion, queries: Embeddings, *, limit: int, category: str | None = None
    ) -> Sequence[Sequence[Hit]]:
        """For each query row the nearest videos by cosine, nearest first: one call whatever the number of queries."""
        ...

    def videos(self, model: ModelVersion, video_ids: Sequence[str]) -> Mapping[str, Embedding]:
        """Video embeddings by id, for those that exist; one call."""
        ...

    def segments(self, model: ModelVersion, counts: Mapping[str, int]) -> Mapping[str, Sequence[Segment]]:
        """Segments of these videos in order of time, given video id -> number of segments (ids are deterministic, so
        this is a read by key); one call. Videos without any row are absent."""
        ...

    def count(self, model: ModelVersion) -> tuple[int, int]:
        """(videos, segments) held."""
        ...

    def flush(self, model: ModelVersion) -> None:
        """Makes what was written fast to search; call after a burst of writes, not after each."""
        ...

    def ping(self) -> None: ...

    def close(self) -> None: ...


# --------------------------------------------------------------------------------------------- media


class FrameSource(Protocol):
    """Looks into video files. Untrusted bytes are only ever decoded in a limited child process. UnusableMedia where the
    file is the problem."""

    def probe(self, path: Path) -> MediaInfo:
        """What the container says; `duration_s` is measured where the container does not say."""
        ...

    def sample(self, path: Path, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
        """Frames spread evenly over the range, in order, in batches of at most `batch`, decoding as little as that
        takes. The child runs ahead of the consumer by a bounded number of frames and ends when the iterator is
        closed."""
        ...


class MediaStore(Protocol):
    """Bytes by location. A location is `file:///absolute/path` (the user's own file, read in place, never changed or
    deleted) or `media:///key` (kept by this store)."""

    def put(self, key: str, data: bytes) -> str:
        """Stores under a key (`[A-Za-z0-9._-]` and `/`), atomically, replacing; answers the location."""
        ...

    def read(self, location: str) -> bytes:
        """The whole object; NotFound."""
        ...

    def size(self, location: str) -> int:
        """In bytes; NotFound."""
        ...

    def local(self, location: str) -> AbstractContextManager[Path]:
        """A local file with these bytes, for the time of the block; NotFound."""
        ...

    def delete(self, prefix: str) -> int:
        """Removes every kept object whose key starts with the prefix; answers how many. `file:` locations are left
        alone."""
        ...


class Encoder(Protocol):
    """Frames in, embeddings out."""

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        """(n, 224, 224, 3) uint8 RGB -> (n, d) float32, rows L2-normalised, same order. ModelVersionMismatch where the
        encoder holds another version, Overloaded where it is full, EncoderUnavailable where it does not answer."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """model_version, dimension, provider and what else the encoder says of itself; EncoderUnavailable."""
        ...
