"""Which videos browsers play, and what becomes of those that they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrec.domain.errors import FailureReason
from vidrec.domain.models import MediaInfo, Playback, Video, VideoStatus
from vidrec.domain.playback import (
    TRANSCODING,
    Playable,
    Rendering,
    Treatment,
    playable,
    rendering,
    rendition_size,
    treatment,
)


def media(
    container: str,
    video: str,
    audio: str | None = None,
    *,
    profile: str | None = None,
    pixels: str | None = "yuv420p",
    size: tuple[int, int] = (1280, 720),
) -> MediaInfo:
    return MediaInfo(
        container=container,
        video_codec=video,
        audio_codec=audio,
        width=size[0],
        height=size[1],
        duration_s=10.0,
        profile=profile,
        pixel_format=pixels,
    )


PLAYS = [
    media("mp4", "h264"),
    media("mp4", "h264", "aac", profile="High"),
    media("mp4", "h264", "mp3", profile="Constrained Baseline"),
    media("mp4", "h264", "aac", pixels="yuvj420p"),
    media("mp4", "h264", "aac", pixels=None),
    media("mp4", "h264", "aac", size=(3840, 2160)),
    media("webm", "vp8", "vorbis"),
    media("webm", "vp9", "opus", profile="Profile 0"),
    media("webm", "vp9"),
]
REMUX_ALL, REMUX_VIDEO = (Rendering("mp4", copy_video=True, copy_audio=copied) for copied in (True, False))
TO_WEBM = Rendering("webm", copy_video=True, copy_audio=True)
DOES_NOT = [
    (media("mov", "h264", "aac", profile="Main"), REMUX_ALL),
    (media("mov", "h264", "pcm_s16le"), REMUX_VIDEO),
    (media("matroska", "h264", "aac", profile="High"), REMUX_ALL),
    (media("matroska", "h264"), REMUX_ALL),
    (media("matroska", "h264", "ac3"), REMUX_VIDEO),
    (media("matroska", "h264", "opus"), REMUX_VIDEO),
    (media("mpegts", "h264", "aac"), REMUX_ALL),
    (media("flv", "h264", "mp3"), REMUX_ALL),
    (media("mp4", "h264", "ac3"), REMUX_VIDEO),
    (media("mp4", "h264", "amr_nb"), REMUX_VIDEO),
    (media("matroska", "vp9", "opus"), TO_WEBM),
    (media("mp4", "vp9", "opus"), TO_WEBM),
    (media("matroska", "vp8", "vorbis"), TO_WEBM),
    (media("matroska", "vp9", "aac"), TRANSCODING),
    (media("mp4", "hevc", "aac", profile="Main"), TRANSCODING),
    (media("mov", "hevc", "aac", profile="Main 10", pixels="yuv420p10le"), TRANSCODING),
    (media("mov", "prores", "pcm_s16le", pixels="yuv422p10le"), TRANSCODING),
    (media("webm", "av1", "opus", profile="Main"), TRANSCODING),
    (media("mp4", "av1", "aac", profile="Main"), TRANSCODING),
    (media("ogg", "theora", "vorbis"), TRANSCODING),
    (media("avi", "mpeg4", "mp3"), TRANSCODING),
    (media("avi", "h264", "mp3", profile="High"), TRANSCODING),
    (media("mpeg", "mpeg2video", "mp2"), TRANSCODING),
    (media("asf", "wmv2", "wmav2"), TRANSCODING),
    (media("gif", "gif", pixels="bgra"), TRANSCODING),
    (media("mp4", "h264", "aac", profile="High 10", pixels="yuv420p10le"), TRANSCODING),
    (media("mp4", "h264", "aac", profile="High 4:2:2", pixels="yuv422p"), TRANSCODING),
    (media("mp4", "h264", "aac", profile="High 4:4:4 Predictive", pixels="yuv444p"), TRANSCODING),
    (media("mp4", "h264", "aac", profile="High 4:4:4 Predictive", pixels="yuv420p"), TRANSCODING),
    (media("mp4", "h264", "aac", size=(7680, 4320)), TRANSCODING),
    (media("webm", "vp9", "opus", profile="Profile 2", pixels="yuv420p10le"), TRANSCODING),
    (media("webm", "vp9", "opus", profile="Profile 1", pixels="yuv444p"), TRANSCODING),
]


@pytest.mark.parametrize("info", PLAYS, ids=str)
def test_what_all_browsers_play_is_left_alone(info: MediaInfo) -> None:
    assert rendering(info) is None
    assert treatment(info) is Treatment.ORIGINAL


@pytest.mark.parametrize(("info", "expected"), DOES_NOT, ids=str)
def test_the_rest_gets_the_cheapest_copy_that_plays(info: MediaInfo, expected: Rendering) -> None:
    assert rendering(info) == expected
    assert treatment(info) is (Treatment.REMUX if expected.copy_video else Treatment.TRANSCODE)


@pytest.mark.parametrize("info", [info for info, _ in DOES_NOT], ids=str)
def test_every_copy_plays(info: MediaInfo) -> None:
    how = rendering(info)
    assert how is not None
    audio = info.audio_codec if how.copy_audio else info.audio_codec and "aac"
    made = replace(info, container=how.container, audio_codec=audio)
    if not how.copy_video:
        width, height = rendition_size(info)
        made = replace(made, video_codec="h264", profile="High", pixel_format="yuv420p", width=width, height=height)
    assert rendering(made) is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (1280, 720)),
        ((1080, 1920), (720, 1280)),
        ((640, 480), (640, 480)),
        ((1440, 1080), (960, 720)),
        ((161, 91), (160, 90)),
        ((2, 900), (2, 900)),
        ((1, 1), (2, 2)),
    ],
)
def test_copies_are_at_most_720p(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert rendition_size(media("avi", "mpeg4", size=size)) == expected


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_any_size_has_one_that_is_even_and_small(width: int, height: int) -> None:
    made = rendition_size(media("avi", "mpeg4", size=(width, height)))
    assert all(side >= 2 and side % 2 == 0 for side in made)
    assert max(made) <= 1280
    assert min(made) <= 720
    assert all(side <= max(2, original + 1) for side, original in zip(made, (width, height), strict=True))


VIDEO = Video(
    id="v",
    external_id=None,
    title="",
    category=None,
    tags=(),
    url=None,
    location="",
    filename="",
    size_bytes=0,
    content_sha256="",
    source_mtime_ns=None,
    status=VideoStatus.INDEXED,
    failure_reason=None,
    failure_message=None,
    media=PLAYS[0],
    segment_count=1,
    available=True,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    indexed_at=None,
    indexed_model=None,
    playback=None,
    rendition=None,
    deleted_at=None,
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"playback": Playback.ORIGINAL}, Playable.YES),
        ({"playback": Playback.RENDITION}, Playable.YES),
        ({"playback": Playback.PREPARING}, Playable.PREPARING),
        ({"playback": Playback.FAILED}, Playable.NO),
        ({"playback": Playback.ORIGINAL, "status": VideoStatus.PROCESSING}, Playable.YES),
        ({"status": VideoStatus.QUEUED, "media": None}, Playable.PREPARING),
        ({"status": VideoStatus.PROCESSING, "media": None}, Playable.PREPARING),
        ({"status": VideoStatus.FAILED, "failure_reason": FailureReason.EMPTY}, Playable.NO),
        ({"status": VideoStatus.FAILED, "playback": Playback.ORIGINAL}, Playable.NO),
        ({}, Playable.YES),
        ({"media": DOES_NOT[0][0]}, Playable.PREPARING),
    ],
)
def test_what_viewers_are_told(changes: dict[str, object], expected: Playable) -> None:
    assert playable(replace(VIDEO, **changes)) is expected  # type: ignore[arg-type]
