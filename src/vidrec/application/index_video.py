"""From a video file to its vectors and pictures: probe, sample, encode, cut into segments, write. In one piece, or
range by range and then folded: both give the same rows and pictures, since chunks are cut alone either way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

from vidrec.application import partials, pictures
from vidrec.application.digest import sha256_of
from vidrec.application.encode_video import BATCH, EMBEDDING, EncodedChunk, VideoEncoder, missing
from vidrec.application.patience import Patience
from vidrec.application.ports import Encoder, FrameSource, MediaStore, Observe, Original, VectorIndex, unobserved
from vidrec.application.progress import Report, untold
from vidrec.domain.errors import FailureReason, NotFound, UnusableMedia
from vidrec.domain.models import Embedding, MediaInfo, ModelVersion, Segment, TimeRange, Video, VideoVector
from vidrec.domain.sampling import chunks_within
from vidrec.domain.segmentation import chunks, video_embedding

DULL = 12.0
"""Frames whose pixels deviate less than this (of 255) make no thumbnail where there is a better one."""


@dataclass(frozen=True, slots=True)
class OpenedVideo:
    """A video whose bytes are at hand."""

    video: Video
    path: Original
    media: MediaInfo


@dataclass(frozen=True, slots=True)
class Indexed:
    """What is known of a video after its vectors were written."""

    media: MediaInfo
    segment_count: int


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
        observe: Observe = unobserved,
    ) -> None:
        """`learn` is told the SHA-256 of a video's bytes where that was not known; `observe` of the stages: probe,
        decode and encode of a batch of frames, index."""
        self._index = index
        self._frames = frames
        self._encoder = VideoEncoder(frames, encoder, batch=batch, observe=observe)
        self._store = store
        self._learn = learn
        self._observe = observe

    @contextmanager
    def opened(self, video: Video, patiently: Patience, media: MediaInfo | None = None) -> Iterator[OpenedVideo]:
        """The video with its bytes at hand for the time of the block, and what probing says unless that is known.
        UnusableMedia where the file is the problem."""
        with ExitStack() as stack:
            try:
                path = patiently(lambda: stack.enter_context(self._store.original(video.location)))
                if media is None:
                    with self._observe("probe"):
                        media = self._frames.probe(path)
            except NotFound as error:
                raise missing(error) from error
            yield OpenedVideo(video, path, media)

    def index(self, opened: OpenedVideo, model: ModelVersion, patiently: Patience, report: Report = untold) -> Indexed:
        """Samples, encodes and writes pictures, segments, and the video's row last; `report` is told how far it is with
        every batch.

        UnusableMedia where the file is the problem; whatever `patiently` raises.
        """
        whole = chunks(opened.media.duration_s)
        with closing(self._encoder.encoded(opened.path, opened.media, whole, model, patiently, report)) as encoded:
            done = self._write(opened.video, opened.media, encoded, model, patiently, report, original=opened.path)
        return done

    def encode_range(
        self, opened: OpenedVideo, time: TimeRange, model: ModelVersion, patiently: Patience, report: Report = untold
    ) -> None:
        """Samples and encodes one range of whole chunks and keeps what `fold` needs. Raises as `index`."""
        within = chunks_within(time)
        with closing(self._encoder.encoded(opened.path, opened.media, within, model, patiently, report)) as encoded:
            data = partials.dump(list(encoded), opened.media)
        key = partials.key(opened.video.id, model.version, time)
        patiently(lambda: self._store.put(key, data))

    def fold(
        self, video: Video, media: MediaInfo, ranges: Iterable[TimeRange], model: ModelVersion, patiently: Patience
    ) -> Indexed:
        """Writes what `index` would have written, from what was kept of all ranges. NotFound where a range's is not
        there; UnusableMedia where none has a frame; whatever `patiently` raises."""
        return self._write(video, media, self._kept(video.id, ranges, model, patiently), model, patiently, untold)

    def remove(self, video_id: str, model: ModelVersion) -> None:
        """Takes back what was written of a video."""
        self._index.delete(model, [video_id])
        self._store.delete(pictures.prefix(video_id))
        self._store.delete(partials.prefix(video_id))

    def recategorise(self, model: ModelVersion, video_id: str, category: str | None) -> None:
        """Changes the category in the video's row."""
        self._index.recategorise(model, video_id, category)

    def _kept(
        self, video_id: str, ranges: Iterable[TimeRange], model: ModelVersion, patiently: Patience
    ) -> Generator[EncodedChunk]:
        for time in ranges:
            location = pictures.location(partials.key(video_id, model.version, time))
            yield from partials.load(patiently(partial(self._store.read, location)))

    def _write(
        self,
        video: Video,
        media: MediaInfo,
        encoded: Iterable[EncodedChunk],
        model: ModelVersion,
        patiently: Patience,
        report: Report,
        original: Original | None = None,
    ) -> Indexed:
        segments: list[Segment] = []
        middles: list[_Middle] = []
        for chunk in encoded:
            for cut in chunk.cuts(media):
                number = len(segments)
                shown = partials.spread(cut.first, cut.stop)
                middles.append(self._write_pictures(video.id, model, number, chunk, shown, patiently))
                segments.append(Segment(video_id=video.id, number=number, time=cut.time, embedding=cut.embedding))
        if not segments:
            raise UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "no frame of the video could be decoded")
        if not video.content_sha256:
            self._learn_digest(video, original, patiently)
        report(EMBEDDING)
        vector = video_embedding(segments)
        if video.indexed_model in (None, model.version):  # else it has one, and need not get another by another model
            patiently(lambda: self._write_thumbnail(video.id, segments, middles, vector))
        before = video.segment_count if video.indexed_model == model.version else 0
        for number in range(len(segments), before):
            patiently(partial(self._store.delete, pictures.segment_prefix(video.id, model.version, number)))
        row = VideoVector(video_id=video.id, category=video.category, duration_s=media.duration_s, embedding=vector)
        with self._observe("index"):
            patiently(lambda: self._index.upsert(model, row, segments))
        return Indexed(media, len(segments))

    def _learn_digest(self, video: Video, original: Original | None, patiently: Patience) -> None:
        try:
            with ExitStack() as stack:
                file = original or patiently(lambda: stack.enter_context(self._store.original(video.location)))
                self._learn(video.id, sha256_of(file))
        except NotFound as error:
            raise missing(error) from error

    def _write_pictures(
        self,
        video_id: str,
        model: ModelVersion,
        number: int,
        chunk: EncodedChunk,
        shown: Sequence[int],
        patiently: Patience,
    ) -> _Middle:
        keys = [pictures.segment_key(video_id, model.version, number, position) for position in range(len(shown))]
        for key, frame in zip(keys, shown, strict=True):
            patiently(partial(self._store.put, key, chunk.pictures[frame]))
        middle = len(shown) // 2
        return _Middle(keys[middle], float(chunk.contrast[shown[middle]]))

    def _write_thumbnail(
        self, video_id: str, segments: Sequence[Segment], middles: Sequence[_Middle], vector: Embedding
    ) -> None:
        """The middle picture of the segment that is most like the whole; a dull one only where all are."""
        best = max(segments, key=lambda s: (middles[s.number].contrast >= DULL, float(s.embedding @ vector)))
        picture = self._store.read(pictures.location(middles[best.number].key))
        self._store.put(pictures.thumbnail_key(video_id), picture)
