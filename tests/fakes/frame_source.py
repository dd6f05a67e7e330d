"""A frame source without files: frames of one colour each."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vidrec.application.ports import Original
from vidrec.domain.errors import FailureReason, UnusableMedia
from vidrec.domain.models import MediaInfo, SampledFrames, TimeRange
from vidrec.domain.sampling import chunks_within, slots

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class FakeVideo:
    """A video of scenes of equal length, each of one colour."""

    scenes: Sequence[Colour] = ((200, 40, 40),)
    duration_s: float = 20.0
    has_audio: bool = False
    container: str = "webm"
    video_codec: str = "vp9"


class FakeFrameSource:
    """Implements FrameSource. `videos` maps file names to what is in them, or to why they are unusable; any other path
    is a 20-second video whose colour follows from its name. Nothing is read from disk."""

    def __init__(self, videos: Mapping[str, FakeVideo | FailureReason] | None = None) -> None:
        self._videos = dict(videos or {})

    def probe(self, path: Original) -> MediaInfo:
        video = self._video(path)
        return MediaInfo(
            container=video.container,
            video_codec=video.video_codec,
            audio_codec="opus" if video.has_audio else None,
            width=320,
            height=180,
            duration_s=video.duration_s,
        )

    def sample(self, path: Original, info: MediaInfo, within: TimeRange, *, batch: int) -> Iterator[SampledFrames]:
        video = self._video(path)
        for chunk in chunks_within(TimeRange(within.start_s, min(within.end_s, video.duration_s))):
            edges = slots(chunk, info.duration_s)
            times = (edges[:-1] + edges[1:]) / 2
            for first in range(0, len(times), batch):
                yield _frames(video, times[first : first + batch])

    def _video(self, path: Original) -> FakeVideo:
        name = path.name if isinstance(path, Path) else "partial"
        digest = zlib.crc32(name.encode())
        colour = (digest & 255, digest >> 8 & 255, digest >> 16 & 255)
        video = self._videos.get(name, FakeVideo(scenes=(colour,)))
        if isinstance(video, FailureReason):
            raise UnusableMedia(video, f"{name}: {video.value}")
        return video


def _frames(video: FakeVideo, times_s: np.ndarray) -> SampledFrames:
    scene = np.minimum((times_s / video.duration_s * len(video.scenes)).astype(int), len(video.scenes) - 1)
    colours = np.array(video.scenes, dtype=np.uint8)[scene]
    frames = np.broadcast_to(colours[:, None, None, :], (len(times_s), 224, 224, 3)).copy()
    return SampledFrames(times_s, frames, [_jpeg(colour) for colour in colours])


def _jpeg(colour: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (320, 180), tuple(int(c) for c in colour)).save(file, "JPEG")
    return file.getvalue()
