"""What ffmpeg says of a file before it reads packets; there is no ffprobe in the wheel."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vidrec.domain.errors import FailureReason, UnusableMedia

_INPUT = re.compile(r"^Input #0, (\S+), from ", re.M)
_STREAM = re.compile(r"^  Stream #0:\d+\S*: (Video|Audio): (\w+)(.*)$", re.M)
_CODEC_DETAIL = re.compile(r" \(([^()/]+)\)")
_PIXEL_FORMAT = re.compile(r"^(?: \([^()]*\))*, (\w+)")
_HDR = re.compile(r"\b(smpte2084|arib-std-b67)\b")
_SIZE = re.compile(r", (\d{1,6})x(\d{1,6})(?=[ ,]|$)")
_PIXEL_ASPECT = re.compile(r"\[SAR (\d+):(\d+) DAR")
_ROTATION = re.compile(r"^\s+display ?matrix: rotation of (-?\d+(?:\.\d+)?) degrees", re.M | re.I)
_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", re.M)
_BRAND = re.compile(r"^    major_brand     : (.*)$", re.M)
_TOO_MANY_PIXELS = re.compile(r"Picture size \S+ exceeds|Picture size \d+x\d+ is invalid")
_WEBM_VIDEO = frozenset({"vp8", "vp9", "av1"})
_WEBM_AUDIO = frozenset({"opus", "vorbis", None})
_NOT_A_VIDEO = "This is not a video file of a supported format (MP4, MOV, WebM, MKV, AVI, OGV, FLV, WMV, MPEG or GIF)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A file's container and first video stream."""

    container: str
    video_codec: str
    audio_codec: str | None
    width: int
    height: int
    """As shown: with the pixels' aspect and the rotation applied."""
    duration_s: float
    """As the container has it; 0.0 where it does not say."""
    profile: str | None
    pixel_format: str | None
    hdr: str | None


def describe(messages: str, *, max_pixels: int) -> Description:
    """Reads ffmpeg's messages; UnusableMedia where they say that there is nothing to decode."""
    container = _INPUT.search(messages)
    if container is None:
        raise UnusableMedia(FailureReason.NOT_A_VIDEO, _NOT_A_VIDEO)
    text = messages[container.start() :].split("\nStream mapping:")[0].split("\nOutput #0")[0]
    streams = _STREAM.findall(text)
    video = next((s for s in streams if s[0] == "Video" and "(attached pic)" not in s[2]), None)
    if video is None:
        raise UnusableMedia(FailureReason.NO_VIDEO_STREAM, "There is no video stream in this file.")
    width, height = _size(video[2], messages, max_pixels)
    if _rotated(text):
        width, height = height, width
    audio = next((s[1] for s in streams if s[0] == "Audio"), None)
    return Description(
        container=_container_name(container[1], text, video[1], audio),
        video_codec=video[1],
        audio_codec=audio,
        width=width,
        height=height,
        duration_s=_duration_s(text),
        profile=_profile(video[2]),
        hdr=hdr[1] if (hdr := _HDR.search(video[2])) else None,
        pixel_format=pixels[1] if (pixels := _PIXEL_FORMAT.match(video[2])) else None,
    )


def _profile(stream: str) -> str | None:
    """The last of `h264 (decoder, where it is called otherwise) (profile) (tag / number), ...`."""
    named = _CODEC_DETAIL.findall(stream.partition(",")[0])
    return named[-1] if named else None


def _size(stream: str, messages: str, max_pixels: int) -> tuple[int, int]:
    size = _SIZE.search(stream)
    width, height = (int(size[1]), int(size[2])) if size else (0, 0)
    if width * height > max_pixels or _TOO_MANY_PIXELS.search(messages):
        raise UnusableMedia(
            FailureReason.TOO_LARGE,
            f"The picture is larger than the {max_pixels / 1e6:.1f} megapixels allowed here.",
        )
    if not width or not height:
        raise UnusableMedia(FailureReason.NO_DECODABLE_FRAME, "There is no picture in the video stream of this file.")
    aspect = _PIXEL_ASPECT.search(stream)
    if aspect and int(aspect[1]) and int(aspect[2]):
        width = max(1, round(width * int(aspect[1]) / int(aspect[2])))
    return width, height


def _duration_s(text: str) -> float:
    duration = _DURATION.search(text)
    return int(duration[1]) * 3600 + int(duration[2]) * 60 + float(duration[3]) if duration else 0.0


def _rotated(text: str) -> bool:
    rotation = _ROTATION.search(text)
    return rotation is not None and round(float(rotation[1]) / 90) % 2 != 0


def _container_name(name: str, text: str, video: str, audio: str | None) -> str:
    if name.startswith("mov,"):
        brand = _BRAND.search(text)
        return "mov" if brand is None or brand[1].strip() == "qt" else "mp4"
    if name.startswith("matroska,"):
        return "webm" if video in _WEBM_VIDEO and audio in _WEBM_AUDIO else "matroska"
    return name
