"""The things vidrec speaks of. Plain values: no I/O, no framework; times are aware UTC datetimes, durations seconds."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrec.domain.errors import FailureReason

Embedding = npt.NDArray[np.float32]
"""One L2-normalised vector, shape (d,)."""
Embeddings = npt.NDArray[np.float32]
"""L2-normalised rows, shape (n, d)."""
Frames = npt.NDArray[np.uint8]
"""RGB frames, shape (n, height, width, 3)."""


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


class _Uuid7:
    """Makes UUIDv7 (RFC 9562, section 5.7). Those of one process are strictly ascending, also within a millisecond: the
    74 random bits are then those before plus a random step (section 6.2, method 2). Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._random = 0

    def next(self) -> uuid.UUID:
        now = time.time_ns() // 1_000_000
        with self._lock:
            if now > self._ms:
                # The highest bit stays free for the steps.
                self._ms, self._random = now, int.from_bytes(os.urandom(10), "big") >> 7
            else:
                self._random += 1 + int.from_bytes(os.urandom(4), "big")
            ms, high, low = self._ms, self._random >> 62, self._random & ((1 << 62) - 1)
        return uuid.UUID(int=(ms & ((1 << 48) - 1)) << 80 | 0x7 << 76 | high << 64 | 0x2 << 62 | low)


_uuid7 = _Uuid7()


def new_id() -> str:
    """A UUIDv7 in canonical text: sorts by time of creation, those of one process strictly."""
    return str(_uuid7.next())


def segment_id(video_id: str, number: int) -> str:
    """Deterministic id of a segment, so that writing it twice is writing it once."""
    return f"{video_id}:{number:06d}"


class VideoStatus(StrEnum):
    """Where a video is on its way to being recommendable."""

    UPLOADING = "uploading"
    QUEUED = "queued"
    PROCESSING = "processing"
    INDEXED = "indexed"
    FAILED = "failed"


class Playback(StrEnum):
    """What is played of a video, once that is known."""

    ORIGINAL = "original"
    PREPARING = "preparing"
    """A copy that browsers play is to be made."""
    RENDITION = "rendition"
    """That copy."""
    FAILED = "failed"
    """No copy can be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What probing a file says of its first video stream."""

    container: str
    video_codec: str
    audio_codec: str | None
    width: int
    height: int
    duration_s: float
    """Length in seconds; 0.0 where the container does not say and nothing was decoded yet."""
    profile: str | None = None
    """Of the video codec, such as `High`. This and what follows is told by probing and not kept."""
    pixel_format: str | None = None
    """ffmpeg's name for it, such as `yuv420p`."""
    hdr: str | None = None
    """The transfer function of a high dynamic range, by ffmpeg's name: `smpte2084` (PQ) or `arib-std-b67` (HLG)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One video of the catalogue."""

    id: str
    external_id: str | None
    title: str
    category: str | None
    tags: tuple[str, ...]
    url: str | None
    """The customer's own page about it, if any."""
    location: str
    """Where the original bytes are, a MediaStore location."""
    filename: str
    size_bytes: int
    content_sha256: str
    source_mtime_ns: int | None
    status: VideoStatus
    failure_reason: FailureReason | None
    failure_message: str | None
    media: MediaInfo | None
    segment_count: int
    """Segments of the active model version; 0 until indexed."""
    available: bool
    created_at: datetime
    indexed_at: datetime | None
    indexed_model: str | None
    """Model version that the vectors of this video are of; None until indexed."""
    playback: Playback | None
    """None until indexed, and of videos that were indexed before there was such a thing."""
    rendition: str | None
    """Where the copy that browsers play is, a MediaStore location."""
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVideo:
    """What is known of a video before it is looked into."""

    location: str
    filename: str
    size_bytes: int
    content_sha256: str
    source_mtime_ns: int | None = None
    external_id: str | None = None
    title: str | None = None
    category: str | None = None
    tags: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open range of seconds within one video."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A time range of one video with one embedding."""

    video_id: str
    number: int
    time: TimeRange
    embedding: Embedding

    @property
    def id(self) -> str:
        return segment_id(self.video_id, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoVector:
    """The one embedding that stands for a whole video."""

    video_id: str
    category: str | None
    duration_s: float
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class SampledFrames:
    """Consecutive sampled frames of one video, in order of time."""

    times_s: npt.NDArray[np.float64]
    """Shape (n,), seconds from the start of the video, strictly increasing."""
    frames: Frames
    """Shape (n, 224, 224, 3), uint8 RGB, what the encoder takes."""
    pictures: Sequence[bytes]
    """n JPEG files of the same frames for people to look at, aspect ratio kept."""


class InteractionType(StrEnum):
    """What a user did. Values are part of the API."""

    IMPRESSION = "impression"
    VIEW = "view"
    WATCH = "watch"
    LIKE = "like"
    DISLIKE = "dislike"
    SKIP = "skip"
    HIDE = "hide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A user did something to a video."""

    user_id: str
    video_id: str
    type: InteractionType
    ts: datetime
    event_id: str
    """Unique per user; the client's own, or made by the server."""
    fraction: float | None = None
    """For `watch`: the part of the video that was really watched, 0 to 1."""
    position_s: float | None = None
    session_id: str | None = None
    recommendation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedVideo:
    """All that one user did to one video, folded into one row."""

    video_id: str
    weight: float
    """How much it says of the user's taste: > 0 liked or watched, 0 only seen, < 0 disliked or hidden."""
    last_at: datetime
    position_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """One thing that a user likes: the medoid of a cluster of watched videos (PinnerSage, Pal et al. 2020)."""

    video_id: str
    """The medoid: a video that the user did watch."""
    embedding: Embedding
    importance: float
    """Share of the user's attention; the importances of one profile sum to 1."""
    members: tuple[str, ...]
    """Watched videos of the cluster, most important first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfile:
    """What the interactions say of a user, in the embedding space of one model version."""

    user_id: str
    model_version: str
    interests: tuple[Interest, ...]
    """Most important first; empty for a user whose interactions say nothing yet."""
    cutoff: int
    """Sequence number of the last interaction that went in; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One encoder's embedding space and the two collections that hold it."""

    version: str
    """Lowercase letters, digits, `_`; a hash of all that changes an embedding."""
    name: str
    """For people, such as `resnet18 untrained int8`."""
    dimension: int
    trained: bool
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def videos_collection(self) -> str:
        return f"videos_{self.version}"

    @property
    def segments_collection(self) -> str:
        return f"segments_{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A video found for one of the user's interests."""

    video_id: str
    score: float
    """Cosine to the nearest interest, -1 to 1, higher is better; 0 for popular and fresh ones."""
    source: str
    """`similar`, `popular` or `fresh`."""
    interest: int | None = None
    """Index into the profile's interests, for `similar`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationRecord:
    """What was answered and from what, kept so that it can be looked up, replayed and paged."""

    id: str
    user_id: str
    created_at: datetime
    model_version: str
    code_version: str
    strategy: str
    degraded: bool
    interaction_cutoff: int
    interests: tuple[Mapping[str, Any], ...]
    """Per interest: video_id, importance, members."""
    parameters: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    """In the order in which they are paged."""


class JobState(StrEnum):
    """queued -> running -> done | queued again (retry) | dead (attempts used up) | cancelled."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """Work to be done at least once."""

    kind: str
    payload: Mapping[str, Any]
    video_id: str | None = None
    priority: int = 0
    """Higher is taken first."""
    dedupe_key: str | None = None
    """While a job with this key is queued or running, enqueueing another is a no-op that answers the first's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the queue holds it."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    video_id: str | None
    priority: int
    state: JobState
    attempts: int
    """How often it was leased, this time included."""
    last_error: str | None
    created_at: datetime
    run_at: datetime
    lease_token: str | None = None
