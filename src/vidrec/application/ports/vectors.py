"""Embeddings by likeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vidrec.domain.filters import EVERY_VIDEO, VideoFilter
from vidrec.domain.models import Embedding, Embeddings, ModelVersion, Segment, VideoVector


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
        """Removes the videos' rows in both collections. Unknown ids are no error, nor is a model that has no
        collections."""
        ...

    def search(
        self,
        model: ModelVersion,
        queries: Embeddings,
        *,
        limit: int,
        only: VideoFilter = EVERY_VIDEO,
        among: Sequence[str] | None = None,
    ) -> Sequence[Sequence[Hit]]:
        """For each query row the nearest videos by cosine, nearest first: one call whatever the number of queries. Of
        `only` category and duration count, the rest is not known here. `among`: these videos alone, a few thousand at
        the most."""
        ...

    def videos(self, model: ModelVersion, video_ids: Sequence[str], *, fresh: bool = False) -> Mapping[str, Embedding]:
        """Video embeddings by id, for those that exist; one call. `fresh`: all that was acknowledged before is seen,
        where a read may be some seconds behind otherwise."""
        ...

    def segments(
        self, model: ModelVersion, counts: Mapping[str, int], *, fresh: bool = False
    ) -> Mapping[str, Sequence[Segment]]:
        """Segments of these videos in order of time, given video id -> number of segments (ids are deterministic, so
        this is a read by key); one call. Videos without any row are absent. `fresh` as with `videos`."""
        ...

    def count(self, model: ModelVersion) -> tuple[int, int]:
        """(videos, segments) held."""
        ...

    def held(self, model: ModelVersion, video_ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """(rows of videos, rows of segments) that name each of these videos, for those of which there is any. Sees all
        that was acknowledged before, and looks at every row, wherever it is: for a probe, not for requests. Nothing for
        a model that has no collections."""
        ...

    def flush(self, model: ModelVersion) -> None:
        """Makes what was written fast to search; call after a burst of writes, not after each."""
        ...

    def release(self, model: ModelVersion) -> None:
        """Lets go of the memory that a model version takes which is not in use; its next read loads it again. Nothing
        where it has no collections."""
        ...

    def ping(self) -> None: ...

    def close(self) -> None: ...
