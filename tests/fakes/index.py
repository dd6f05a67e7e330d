"""A vector index in memory: exact cosine by numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vidrec.application.ports import Hit
from vidrec.domain.errors import IndexUnavailable
from vidrec.domain.filters import EVERY_VIDEO, VideoFilter
from vidrec.domain.models import Embedding, Embeddings, ModelVersion, Segment, VideoVector


@dataclass
class _Collections:
    videos: dict[str, VideoVector] = field(default_factory=dict)
    segments: dict[str, Sequence[Segment]] = field(default_factory=dict)


class FakeIndex:
    """Implements the VectorIndex port. With `available` set to False every call raises IndexUnavailable; `calls` lists
    the names of the methods called, for tests that bound their number."""

    def __init__(self) -> None:
        self.available = True
        self.calls: list[str] = []
        self._models: dict[str, _Collections] = {}

    def create(self, model: ModelVersion) -> None:
        self._called("create")
        self._models.setdefault(model.version, _Collections())

    def drop(self, model: ModelVersion) -> None:
        self._called("drop")
        self._models.pop(model.version, None)

    def upsert(self, model: ModelVersion, video: VideoVector, segments: Sequence[Segment]) -> None:
        self._called("upsert")
        held = self._of(model)
        held.segments[video.video_id] = sorted(segments, key=lambda s: s.number)
        held.videos[video.video_id] = video

    def recategorise(self, model: ModelVersion, video_id: str, category: str | None) -> None:
        self._called("recategorise")
        videos = self._of(model).videos
        if video_id in videos:
            videos[video_id] = replace(videos[video_id], category=category)

    def delete(self, model: ModelVersion, video_ids: Sequence[str]) -> None:
        self._called("delete")
        held = self._models.get(model.version, _Collections())
        for video_id in video_ids:
            held.videos.pop(video_id, None)
            held.segments.pop(video_id, None)

    def search(
        self,
        model: ModelVersion,
        queries: Embeddings,
        *,
        limit: int,
        only: VideoFilter = EVERY_VIDEO,
        among: Sequence[str] | None = None,
    ) -> Sequence[Sequence[Hit]]:
        self._called("search")
        rows = [
            v
            for v in self._of(model).videos.values()
            if (among is None or v.video_id in among)
            and only.category in (None, v.category)
            and (only.min_duration_s is None or v.duration_s >= only.min_duration_s)
            and (only.max_duration_s is None or v.duration_s <= only.max_duration_s)
        ]
        if not rows:
            return [[] for _ in queries]
        scores = np.asarray(queries) @ np.stack([v.embedding for v in rows]).T
        order = np.argsort(-scores, axis=1, kind="stable")[:, :limit]
        return [
            [Hit(rows[i].video_id, float(score[i]), rows[i].embedding) for i in nearest]
            for score, nearest in zip(scores, order, strict=True)
        ]

    def videos(self, model: ModelVersion, video_ids: Sequence[str], *, fresh: bool = False) -> Mapping[str, Embedding]:
        self._called("videos")
        held = self._of(model).videos
        return {v: held[v].embedding for v in video_ids if v in held}

    def segments(
        self, model: ModelVersion, counts: Mapping[str, int], *, fresh: bool = False
    ) -> Mapping[str, Sequence[Segment]]:
        self._called("segments")
        held = self._of(model).segments
        found = {v: [s for s in held.get(v, []) if s.number < count] for v, count in counts.items()}
        return {video_id: segments for video_id, segments in found.items() if segments}

    def count(self, model: ModelVersion) -> tuple[int, int]:
        self._called("count")
        held = self._of(model)
        return len(held.videos), sum(len(s) for s in held.segments.values())

    def held(self, model: ModelVersion, video_ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        self._called("held")
        held = self._models.get(model.version, _Collections())
        found = {v: (int(v in held.videos), len(held.segments.get(v, ()))) for v in video_ids}
        return {video_id: rows for video_id, rows in found.items() if any(rows)}

    def flush(self, model: ModelVersion) -> None:
        self._called("flush")
        self._of(model)

    def release(self, model: ModelVersion) -> None:
        self._called("release")

    def ping(self) -> None:
        self._called("ping")

    def close(self) -> None:
        return

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if not self.available:
            raise IndexUnavailable("the vector index does not answer: switched off by the test")

    def _of(self, model: ModelVersion) -> _Collections:
        if model.version not in self._models:
            raise IndexUnavailable(f"the vector index has no collections of model version {model.version}")
        return self._models[model.version]
