"""Segments as last read from the vector index: they only change when a video is indexed again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime

from vidrec.application.ports import VectorIndex
from vidrec.domain.models import ModelVersion, Segment, Video

MAX_BYTES = 16 << 20
"""Of embeddings: those of about 2,000 videos of a minute at 512 dimensions."""

_Key = tuple[str, str, datetime | None]


class SegmentCache:
    """The least recently used go first. Thread-safe."""

    def __init__(self, index: VectorIndex, *, max_bytes: int = MAX_BYTES) -> None:
        self._index = index
        self._left = max_bytes
        self._held: OrderedDict[_Key, Sequence[Segment]] = OrderedDict()
        self._lock = threading.Lock()

    def segments(self, model: ModelVersion, videos: Sequence[Video]) -> Mapping[str, Sequence[Segment]]:
        """Segments by video id, in order of time, in at most one call of the index; videos that say that they are not
        indexed under this model version, or that have no segments, are absent. IndexUnavailable."""
        indexed = [video for video in videos if video.indexed_model == model.version]
        keys: dict[str, _Key] = {v.id: (model.version, v.id, v.indexed_at) for v in indexed}
        found = self._known(keys)
        missing = {v.id: v.segment_count for v in indexed if v.id not in found and v.segment_count}
        if missing:
            read = self._index.segments(model, missing)
            self._keep({keys[video_id]: segments for video_id, segments in read.items()})
            found |= read
        return found

    def _known(self, keys: Mapping[str, _Key]) -> dict[str, Sequence[Segment]]:
        with self._lock:
            found = {video_id: self._held[key] for video_id, key in keys.items() if key in self._held}
            for video_id in found:
                self._held.move_to_end(keys[video_id])
        return found

    def _keep(self, read: Mapping[_Key, Sequence[Segment]]) -> None:
        with self._lock:
            for key, segments in read.items():
                if key not in self._held:
                    self._held[key] = segments
                    self._left -= _size(segments)
            while self._left < 0:
                _, gone = self._held.popitem(last=False)
                self._left += _size(gone)


def _size(segments: Sequence[Segment]) -> int:
    return sum(segment.embedding.nbytes for segment in segments)
