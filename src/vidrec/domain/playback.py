"""What browsers play, and how a copy is made where they do not.

A video plays where Chromium, Firefox and Safari all do, each in the releases of the last two years. Sources: MDN's
guides to containers, video codecs and audio codecs (developer.mozilla.org/docs/Web/Media/Guides/Formats), caniuse.com:

- MP4 with H.264 and AAC or MP3: all. Of H.264 only 8 bits and 4:2:0 (profiles up to High): what is more is left to the
  hardware and plays here and there. Where in the file the index (moov) is does not matter to who asks by Range.
- WebM with VP8 or VP9 and Vorbis or Opus: Chromium, Firefox, and Safari since 16 on macOS and 17.4 on iOS (March 2024).
  Older Safari is not served. VP9's profiles of more than 8 bits need hardware in Safari.
- QuickTime as a container is old Safari's alone, Matroska nobody's; Safari refuses a WebM that calls itself Matroska.
- HEVC and AV1 need hardware: Firefox on Linux has no HEVC, Safari before the M3 and the A17 no AV1. Theora was removed
  from Chromium 123 and Firefox 130 (both 2024). AC-3, DTS, PCM and FLAC play in some of them, in some containers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from vidrec.domain.models import MediaInfo, Playback, Video, VideoStatus

MAX_LONG_SIDE = 1280
MAX_SHORT_SIDE = 720
"""Of the pictures of a transcoded copy, upright or not."""
MAX_PIXELS = 4096 * 2304
"""H.264 level 5.2, the highest that decoders in wide use keep to."""
_H264_PROFILES = frozenset(
    {None, "Baseline", "Constrained Baseline", "Main", "High", "Progressive High", "Constrained High"}
)
_VP_PROFILES = frozenset({None, "Profile 0"})
_PIXELS = frozenset({None, "yuv420p", "yuvj420p"})
"""None: not known; what most files have."""
_MP4_AUDIO = frozenset({"aac", "mp3", None})
_WEBM_AUDIO = frozenset({"opus", "vorbis", None})
_WITHOUT_TIMES = frozenset({"avi"})
"""Containers that do not say when a frame is shown: copied, its frames would come in the wrong order."""


class Treatment(StrEnum):
    """What it takes to play a video, the cheapest that will do."""

    ORIGINAL = "original"
    REMUX = "remux"
    TRANSCODE = "transcode"


@dataclass(frozen=True, slots=True)
class Rendering:
    """How a copy is made."""

    container: str
    """`mp4` or `webm`."""
    copy_video: bool
    """Else it is H.264, 8 bits, 4:2:0, of `rendition_size`."""
    copy_audio: bool
    """Else it is AAC in stereo; no sound stays no sound."""

    @property
    def treatment(self) -> Treatment:
        return Treatment.REMUX if self.copy_video else Treatment.TRANSCODE


TRANSCODING = Rendering("mp4", copy_video=False, copy_audio=False)
"""Plays whatever the original is."""


class Playable(StrEnum):
    """What a viewer is told. Values are part of the API."""

    YES = "yes"
    PREPARING = "preparing"
    NO = "no"


def rendering(media: MediaInfo) -> Rendering | None:
    """How a copy that plays is made; None where the original does."""
    if _is_plain_h264(media):
        if media.container == "mp4" and media.audio_codec in _MP4_AUDIO:
            return None
        if media.container not in _WITHOUT_TIMES:
            return Rendering("mp4", copy_video=True, copy_audio=media.audio_codec in _MP4_AUDIO)
    if _is_plain_vp(media) and media.audio_codec in _WEBM_AUDIO:
        return None if media.container == "webm" else Rendering("webm", copy_video=True, copy_audio=True)
    return TRANSCODING


def treatment(media: MediaInfo) -> Treatment:
    """What it takes to play it."""
    how = rendering(media)
    return Treatment.ORIGINAL if how is None else how.treatment


def rendition_size(media: MediaInfo) -> tuple[int, int]:
    """(width, height) of a transcoded copy: as shown, at most 720p, even, never enlarged."""
    long, short = max(media.width, media.height), min(media.width, media.height)
    scale = min(Fraction(1), Fraction(MAX_LONG_SIDE, long), Fraction(MAX_SHORT_SIDE, short))
    width, height = (max(2, 2 * int(side * scale / 2)) for side in (media.width, media.height))
    return width, height


def playable(video: Video) -> Playable:
    """Whether browsers play the video now."""
    if video.status is VideoStatus.FAILED or video.playback is Playback.FAILED:
        return Playable.NO
    if video.playback in (Playback.ORIGINAL, Playback.RENDITION):
        return Playable.YES
    if video.playback is None and video.media is not None and rendering(video.media) is None:
        return Playable.YES  # indexed by a release that did not ask
    return Playable.PREPARING


def _is_plain_h264(media: MediaInfo) -> bool:
    return (
        media.video_codec == "h264"
        and media.profile in _H264_PROFILES
        and media.pixel_format in _PIXELS
        and media.width * media.height <= MAX_PIXELS
    )


def _is_plain_vp(media: MediaInfo) -> bool:
    return media.video_codec in ("vp8", "vp9") and media.profile in _VP_PROFILES and media.pixel_format in _PIXELS
