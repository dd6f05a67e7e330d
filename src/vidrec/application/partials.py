"""What a worker keeps of one time range of a long video until all ranges are folded: times and embeddings of its
frames, and the pictures that will be shown. Kept in the media store, which all workers share, as one `.npz` file under
a key that follows from video, model version and range: doing a range again writes the same object.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from vidrec.application.encode_video import EncodedChunk
from vidrec.domain.errors import NotFound
from vidrec.domain.models import MediaInfo, TimeRange

PICTURES_A_SEGMENT = 3


def prefix(video_id: str, model_version: str | None = None) -> str:
    """What the keys of a video's partial results start with, of all model versions or of one."""
    whole = f"partials/{video_id}/"
    return whole if model_version is None else f"{whole}{model_version}/"


def key(video_id: str, model_version: str, time: TimeRange) -> str:
    """The key of one range's partial result."""
    return f"{prefix(video_id, model_version)}{time.start_s:09.0f}.npz"


def spread(first: int, stop: int) -> list[int]:
    """The frames that are shown of a segment: up to PICTURES_A_SEGMENT of [first, stop), evenly spread."""
    count = min(PICTURES_A_SEGMENT, stop - first)
    return [first + int((i + 0.5) * (stop - first) / count) for i in range(count)]


def dump(chunks: Sequence[EncodedChunk], media: MediaInfo) -> bytes:
    """The chunks as a file. Of their pictures those are in it that a segment shows."""
    shown = [{frame for cut in chunk.cuts(media) for frame in spread(cut.first, cut.stop)} for chunk in chunks]
    pictures = [
        picture if frame in wanted else b""
        for chunk, wanted in zip(chunks, shown, strict=True)
        for frame, picture in enumerate(chunk.pictures)
    ]
    file = io.BytesIO()
    np.savez(
        file,
        edges=np.array([(c.chunk.start_s, c.chunk.end_s) for c in chunks], dtype=np.float64).reshape(-1, 2),
        frames=np.array([len(c.times_s) for c in chunks], dtype=np.int64),
        times_s=_joined([c.times_s for c in chunks]),
        embeddings=_joined([c.embeddings for c in chunks]),
        contrast=_joined([c.contrast for c in chunks]),
        sizes=np.array([len(p) for p in pictures], dtype=np.int64),
        pictures=np.frombuffer(b"".join(pictures), dtype=np.uint8),
    )
    return file.getvalue()


def load(data: bytes) -> list[EncodedChunk]:
    """The chunks of such a file, in order of time. NotFound where it is none, or damaged."""
    try:
        return _load(data)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise NotFound(f"a partial result is damaged: {error}") from error


def _load(data: bytes) -> list[EncodedChunk]:
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        stops = np.cumsum(held["frames"])
        starts = stops - held["frames"]
        ends = np.concatenate(([0], np.cumsum(held["sizes"])))
        blob = held["pictures"].tobytes()
        times_s, embeddings, contrast = held["times_s"], held["embeddings"], held["contrast"]
        return [
            EncodedChunk(
                TimeRange(float(start_s), float(end_s)),
                times_s[first:stop],
                embeddings[first:stop],
                [blob[ends[i] : ends[i + 1]] for i in range(first, stop)],
                contrast[first:stop],
            )
            for (start_s, end_s), first, stop in zip(held["edges"], starts, stops, strict=True)
        ]


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0)
