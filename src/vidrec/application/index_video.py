"""From a video file to its vectors and pictures: probe, sample, encode, cut into segments, write.

Decoding and encoding overlap: the frame source decodes in a child process and is read ahead of by a thread, and two
batches are on their way to the encoder at any time. Held in memory are one chunk's embeddings and small pictures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import numpy.typing as npt

from vidrec.application import pictures
from vidrec.application.digest import sha256_of
from vidrec.application.patience import Patience
from vidrec.application.ports import Encoder, FrameSource, MediaStore, Original, VectorIndex
from vidrec.application.progress import Report, untold
from vidrec.application.read_ahead import read_ahead
from vidrec.domain.errors import FailureReason, NotFound, UnusableMedia
from vidrec.domain.models import (
    Embeddings,
    MediaInfo,
    ModelVersion,
    SampledFrames,
    Segment,
    TimeRange,
    Video,
    VideoVector,
)
from vidrec.domain.segmentation import chunks, segment_chunk, video_embedding
from vidrec.domain.uploads import Stage, VideoProgress

BATCH = 32
IN_FLIGHT = 2
"""Batches on their way to the encoder, so that it never waits for the next one."""
READ_AHEAD = 2
PICTURES_A_SEGMENT = 3
_EMBEDDING = VideoProgress(Stage.EMBEDDING)
DULL = 12.0
"""Frames whose pixels deviate less than this (of 255) make no thumbnail where there is a better one."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What is known of a video after its vectors were written."""

    media: MediaInfo
    segment_count: int


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Consecutive sampled frames of one chunk, without their pixels."""

    chunk: TimeRange
    times_s: npt.NDArray[np.float64]
    embeddings: Embeddings
    pictures: Sequence[bytes]
    contrast: npt.NDArray[np.float32]
    """Standard deviation of each frame's pixels."""

    @classmethod
    def joined(cls, chunk: TimeRange, parts: Iterable[_Encoded]) -> _Encoded:
        """All parts of one chunk, in their order."""
        held = list(parts)
        return cls(
            chunk,
            np.concatenate([part.times_s for part in held]),
            np.concatenate([part.embeddings for part in held]),
            [picture for part in held for picture in part.pictures],
            np.concatenate([part.contrast for part in held]),
        )


@dataclass(frozen=True, slots=True)
class _Middle:
    """The middle picture of a segment."""

    key: str
    contrast: float


class VideoIndexer:
    """Writes what is recommended from. Doing it twice gives the same rows and pictures. Thread-safe."""

    def __init__(
        self,
        index: VectorIndex,
        frames: FrameSource,
        encoder: Encoder,
        store: MediaStore,
        *,
        batch: int = BATCH,
        learn: Callable[[str, str], None] = lambda video_id, digest: None,
    ) -> None:
        """`learn` is told the SHA-256 of a video's bytes where that was not known."""
        self._index = index
        self._frames = frames
        self._encoder = encoder
        self._store = store
        self._batch = batch
        self._learn = learn

    def index(self, video: Video, model: ModelVersion, patiently: Patience, report: Report = untold) -> Indexed:
        """Probes, samples, encodes and writes pictures, segments, and the video's row last; `report` is told how far it
        is with every batch.

        UnusableMedia where the file is the problem; whatever `patiently` raises.
        """
        try:
            with ExitStack() as opened:
                path = patiently(lambda: opened.enter_context(self._store.original(video.location)))
                media = self._frames.probe(path)
                segments, middles = self._segments(video.id, path, media, model, patiently, report)
                if not video.content_sha256:
                    self._learn(video.id, sha256_of(path))
        except NotFound as error:
            raise UnusableMedia(FailureReason.MISSING, f"the file is not there any more: {error}") from error
        report(_EMBEDDING)
        vector = video_embedding(segments)
        patiently(lambda: self._write_thumbnail(video.id, segments, middles, vector))
        for number in range(len(segments), video.segment_count):
            patiently(partial(self._store.delete, pictures.segment_prefix(video.id, number)))
        row = VideoVector(video_id=video.id, category=video.category, duration_s=media.duration_s, embedding=vector)
        patiently(lambda: self._index.upsert(model, row, segments))
        return Indexed(media, len(segments))

    def remove(self, video_id: str, model: ModelVersion) -> None:
        """Takes back what was written of a video."""
        self._index.delete(model, [video_id])
        self._store.delete(pictures.prefix(video_id))

    def _segments(
        self, video_id: str, path: Original, media: MediaInfo, model: ModelVersion, patiently: Patience, report: Report
    ) -> tuple[list[Segment], list[_Middle]]:
        """All segments in order, and the middle picture of each; their pictures are stored."""
        segments: list[Segment] = []
        middles: list[_Middle] = []
        sampled = read_ahead(self._sampled(path, media, report), ahead=READ_AHEAD, check=patiently.check)
        with closing(sampled), closing(self._encoded(sampled, model, patiently)) as encoded:
            for within, parts in groupby(encoded, key=lambda part: part.chunk):
                chunk = _Encoded.joined(within, parts)
                for cut in segment_chunk(chunk.times_s, chunk.embeddings, _known_end(chunk, media)):
                    number = len(segments)
                    middles.append(
                        self._write_pictures(video_id, number, chunk, _spread(cut.first, cut.stop), patiently)
                    )
                    segments.append(Segment(video_id=video_id, number=number, time=cut.time, embedding=cut.embedding))
        if not segments:
            raise UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "no frame of the video could be decoded")
        return segments, middles

    def _sampled(self, path: Original, media: MediaInfo, report: Report) -> Generator[tuple[TimeRange, SampledFrames]]:
        length = int(media.duration_s) or None
        for chunk in chunks(media.duration_s):
            for batch in self._frames.sample(path, media, chunk, batch=self._batch):
                report(VideoProgress(Stage.DECODING, int(batch.times_s[-1]), length))
                yield chunk, batch
        report(_EMBEDDING)

    def _encoded(
        self, sampled: Iterable[tuple[TimeRange, SampledFrames]], model: ModelVersion, patiently: Patience
    ) -> Generator[_Encoded]:
        """The same frames with their embeddings, in order; chunks follow each other without a pause of the encoder."""

        def encode(chunk: TimeRange, batch: SampledFrames) -> _Encoded:
            embeddings = patiently(lambda: self._encoder.encode(batch.frames, model_version=model.version))
            contrast = batch.frames[:, ::8, ::8].std(axis=(1, 2, 3), dtype=np.float32)
            return _Encoded(chunk, batch.times_s, embeddings, batch.pictures, contrast)

        waiting: deque[Future[_Encoded]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="encode") as pool:
            try:
                for chunk, batch in sampled:
                    waiting.append(pool.submit(encode, chunk, batch))
                    if len(waiting) > IN_FLIGHT:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _write_pictures(
        self, video_id: str, number: int, chunk: _Encoded, shown: Sequence[int], patiently: Patience
    ) -> _Middle:
        for position, frame in enumerate(shown):
            key = pictures.segment_key(video_id, number, position)
            patiently(partial(self._store.put, key, chunk.pictures[frame]))
        middle = len(shown) // 2
        return _Middle(pictures.segment_key(video_id, number, middle), float(chunk.contrast[shown[middle]]))

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


def _known_end(chunk: _Encoded, media: MediaInfo) -> TimeRange:
    """The chunk's range; of a video of unknown length it ends with its last frame."""
    if media.duration_s > 0:
        return chunk.chunk
    return TimeRange(chunk.chunk.start_s, max(chunk.chunk.start_s, float(chunk.times_s[-1])))
