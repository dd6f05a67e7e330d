"""From a video file to the embeddings of its sampled frames.

Decoding and encoding overlap: the frame source decodes in a child process and is read ahead of by a thread, and two
batches are on their way to the encoder at any time. Held in memory are one chunk's embeddings and small pictures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from vidrec.application.patience import Patience
from vidrec.application.ports import Encoder, FrameSource, Observe, Original, unobserved
from vidrec.application.progress import Report
from vidrec.application.read_ahead import observed, read_ahead
from vidrec.domain.errors import FailureReason, NotFound, UnusableMedia
from vidrec.domain.models import Embeddings, MediaInfo, ModelVersion, SampledFrames, TimeRange
from vidrec.domain.segmentation import Cut, segment_chunk
from vidrec.domain.uploads import Stage, VideoProgress

BATCH = 32
IN_FLIGHT = 2
"""Batches on their way to the encoder, so that it never waits for the next one."""
READ_AHEAD = 2
EMBEDDING = VideoProgress(Stage.EMBEDDING)


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """Consecutive sampled frames of one chunk, without their pixels."""

    chunk: TimeRange
    times_s: npt.NDArray[np.float64]
    embeddings: Embeddings
    pictures: Sequence[bytes]
    contrast: npt.NDArray[np.float32]
    """Standard deviation of each frame's pixels."""

    @classmethod
    def joined(cls, chunk: TimeRange, parts: Iterable[EncodedChunk]) -> EncodedChunk:
        """All parts of one chunk, in their order."""
        held = list(parts)
        return cls(
            chunk,
            np.concatenate([part.times_s for part in held]),
            np.concatenate([part.embeddings for part in held]),
            [picture for part in held for picture in part.pictures],
            np.concatenate([part.contrast for part in held]),
        )

    def cuts(self, media: MediaInfo) -> Sequence[Cut]:
        """The chunk's segments; of a video of unknown length the last one ends with its last frame."""
        end_s = self.chunk.end_s
        if media.duration_s <= 0:
            end_s = max(self.chunk.start_s, float(self.times_s[-1]))
        return segment_chunk(self.times_s, self.embeddings, TimeRange(self.chunk.start_s, end_s))


class VideoEncoder:
    """Samples and encodes. Thread-safe."""

    def __init__(
        self, frames: FrameSource, encoder: Encoder, *, batch: int = BATCH, observe: Observe = unobserved
    ) -> None:
        self._frames = frames
        self._encoder = encoder
        self._batch = batch
        self._observe = observe

    def encoded(
        self,
        path: Original,
        media: MediaInfo,
        chunks: Iterable[TimeRange],
        model: ModelVersion,
        patiently: Patience,
        report: Report,
    ) -> Generator[EncodedChunk]:
        """Each chunk of which a frame was decoded, in order; close it where it is not read to its end. Chunks follow
        each other without a pause of the encoder. UnusableMedia; whatever `patiently` raises."""
        sampled = read_ahead(self._sampled(path, media, chunks, report), ahead=READ_AHEAD, check=patiently.check)
        with closing(sampled), closing(self._batches(sampled, model, patiently)) as batches:
            for chunk, parts in groupby(batches, key=lambda part: part.chunk):
                yield EncodedChunk.joined(chunk, parts)

    def _sampled(
        self, path: Original, media: MediaInfo, chunks: Iterable[TimeRange], report: Report
    ) -> Generator[tuple[TimeRange, SampledFrames]]:
        length = int(media.duration_s) or None
        for chunk in chunks:
            try:
                for batch in self._observed_frames(path, media, chunk):
                    report(VideoProgress(Stage.DECODING, int(batch.times_s[-1]), length))
                    yield chunk, batch
            except NotFound as error:  # where it comes as it is read
                raise missing(error) from error
        report(EMBEDDING)

    def _observed_frames(self, path: Original, media: MediaInfo, chunk: TimeRange) -> Iterator[SampledFrames]:
        return observed(self._frames.sample(path, media, chunk, batch=self._batch), self._observe, "decode")

    def _batches(
        self, sampled: Iterable[tuple[TimeRange, SampledFrames]], model: ModelVersion, patiently: Patience
    ) -> Generator[EncodedChunk]:
        """The same frames with their embeddings, in order."""

        def encode(chunk: TimeRange, batch: SampledFrames) -> EncodedChunk:
            with self._observe("encode"):
                embeddings = patiently(lambda: self._encoder.encode(batch.frames, model_version=model.version))
            contrast = batch.frames[:, ::8, ::8].std(axis=(1, 2, 3), dtype=np.float32)
            return EncodedChunk(chunk, batch.times_s, embeddings, batch.pictures, contrast)

        waiting: deque[Future[EncodedChunk]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="encode") as pool:
            try:
                for chunk, batch in sampled:
                    waiting.append(pool.submit(copy_context().run, encode, chunk, batch))
                    if len(waiting) > IN_FLIGHT:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def missing(error: NotFound) -> UnusableMedia:
    """What becomes of a video whose file is gone."""
    return UnusableMedia(FailureReason.MISSING, f"the file is not there any more: {error}")
