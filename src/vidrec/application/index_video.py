"""From a video file to its vectors and pictures: probe, sample, encode, cut into segments, write.

Decoding and encoding overlap: the frame source decodes in a child process and is read ahead of by a thread, and two
batches are on their way to the encoder at any time. Held in memory are one chunk's embeddings and small pictures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrec.application import pictures
from vidrec.application.ports import Encoder, FrameSource, MediaStore, VectorIndex
from vidrec.application.read_ahead import read_ahead
from vidrec.domain.errors import FailureReason, NotFound, UnusableMedia
from vidrec.domain.models import (
    Embeddings,
    Frames,
    MediaInfo,
    ModelVersion,
    SampledFrames,
    Segment,
    TimeRange,
    Video,
    VideoVector,
)
from vidrec.domain.segmentation import chunks, segment_chunk, video_embedding

BATCH = 32
IN_FLIGHT = 2
"""Batches on their way to the encoder, so that it never waits for the next one."""
PICTURES_A_SEGMENT = 3
DULL = 12.0
"""Frames whose pixels deviate less than this (of 255) make no thumbnail where there is a better one."""


Patience = Callable[[Callable[[], object]], object]
"""Runs a call to a store or to the encoder and answers its result: may wait and try again where it is unavailable, and
raises where the work is to be stopped."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What is known of a video after its vectors were written."""

    media: MediaInfo
    segment_count: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    times_s: npt.NDArray[np.float64]
    embeddings: Embeddings
    pictures: Sequence[bytes]
    contrast: npt.NDArray[np.float32]
    """Standard deviation of each frame's pixels."""


@dataclass(frozen=True, slots=True)
class _Middle:
    """The middle picture of a segment."""

    key: str
    contrast: float


class VideoIndexer:
    """Writes what is recommended from. Doing it twice gives the same rows and pictures. Thread-safe."""

    def __init__(
        self, index: VectorIndex, frames: FrameSource, encoder: Encoder, store: MediaStore, *, batch: int = BATCH
    ) -> None:
        self._index = index
        self._frames = frames
        self._encoder = encoder
        self._store = store
        self._batch = batch

    def index(self, video: Video, model: ModelVersion, patiently: Patience) -> Indexed:
        """Probes, samples, encodes and writes segments, pictures, thumbnail, and the video's row last.

        UnusableMedia where the file is the problem; whatever `patiently` raises.
        """
        try:
            with self._store.local(video.location) as path:
                media = self._frames.probe(path)
                segments, middles = self._segments(video.id, path, media, model, patiently)
        except NotFound as error:
            raise UnusableMedia(FailureReason.MISSING, f"the file is not there any more: {error}") from error
        vector = video_embedding(segments)
        patiently(lambda: self._write_thumbnail(video.id, segments, middles, vector))
        row = VideoVector(video_id=video.id, category=video.category, duration_s=media.duration_s, embedding=vector)
        patiently(lambda: self._index.upsert(model, row, segments))
        return Indexed(media, len(segments))

    def remove(self, video_id: str, model: ModelVersion) -> None:
        """Takes back what was written of a video."""
        self._index.delete(model, [video_id])
        self._store.delete(pictures.prefix(video_id))

    def _segments(
        self,
        video_id: str,
        path: Path,
        media: MediaInfo,
        model: ModelVersion,
        patiently: Patience,
    ) -> tuple[list[Segment], list[_Middle]]:
        """All segments in order, and the middle picture of each; their pictures are stored."""
        segments: list[Segment] = []
        middles: list[_Middle] = []
        for within in chunks(media.duration_s):
            chunk = self._encoded(path, media, within, model, patiently)
            for cut in segment_chunk(chunk.times_s, chunk.embeddings, _known_end(within, media, chunk)):
                shown = _spread(cut.first, cut.stop)
                for position, frame in enumerate(shown):
                    key = pictures.segment_key(video_id, len(segments), position)
                    patiently(partial(self._store.put, key, chunk.pictures[frame]))
                middle = len(shown) // 2
                key = pictures.segment_key(video_id, len(segments), middle)
                middles.append(_Middle(key, float(chunk.contrast[shown[middle]])))
                segments.append(
                    Segment(video_id=video_id, number=len(segments), time=cut.time, embedding=cut.embedding)
                )
        if not segments:
            raise UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "no frame of the video could be decoded")
        return segments, middles

    def _encoded(
        self,
        path: Path,
        media: MediaInfo,
        within: TimeRange,
        model: ModelVersion,
        patiently: Patience,
    ) -> _Chunk:
        times: list[npt.NDArray[np.float64]] = []
        embeddings: list[Embeddings] = []
        jpegs: list[bytes] = []
        contrast: list[npt.NDArray[np.float32]] = []

        def encode(frames: Frames) -> Embeddings:
            result = patiently(lambda: self._encoder.encode(frames, model_version=model.version))
            assert isinstance(result, np.ndarray)
            return result

        waiting: deque[Future[Embeddings]] = deque()
        with (
            ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="encode") as pool,
            closing(read_ahead(self._sampled(path, media, within), ahead=1)) as sampled,
        ):
            for batch in sampled:
                waiting.append(pool.submit(encode, batch.frames))
                times.append(batch.times_s)
                jpegs.extend(batch.pictures)
                contrast.append(batch.frames[:, ::8, ::8].std(axis=(1, 2, 3), dtype=np.float32))
                if len(waiting) > IN_FLIGHT:
                    embeddings.append(waiting.popleft().result())
            embeddings.extend(future.result() for future in waiting)
        if not times:
            empty = np.zeros(0, dtype=np.float32)
            return _Chunk(np.zeros(0), np.zeros((0, model.dimension), dtype=np.float32), [], empty)
        return _Chunk(np.concatenate(times), np.concatenate(embeddings), jpegs, np.concatenate(contrast))

    def _sampled(self, path: Path, media: MediaInfo, within: TimeRange) -> Iterator[SampledFrames]:
        return self._frames.sample(path, media, within, batch=self._batch)

    def _write_thumbnail(
        self, video_id: str, segments: Sequence[Segment], middles: Sequence[_Middle], vector: npt.NDArray[np.float32]
    ) -> None:
        """The middle picture of the segment that is most like the whole; a dull one only where all are."""
        best = max(segments, key=lambda s: (middles[s.number].contrast >= DULL, float(s.embedding @ vector)))
        picture = self._store.read(pictures.location(middles[best.number].key))
        self._store.put(pictures.thumbnail_key(video_id), picture)


def _spread(first: int, stop: int) -> list[int]:
    """Up to PICTURES_A_SEGMENT frames of [first, stop), evenly spread."""
    count = min(PICTURES_A_SEGMENT, stop - first)
    return [first + int((i + 0.5) * (stop - first) / count) for i in range(count)]


def _known_end(within: TimeRange, media: MediaInfo, chunk: _Chunk) -> TimeRange:
    """The chunk's range; of a video of unknown length it ends with its last frame."""
    if media.duration_s > 0 or not len(chunk.times_s):
        return within
    return TimeRange(within.start_s, max(within.start_s, float(chunk.times_s[-1])))
