"""Real files through FfmpegRenderer: what comes out plays in browsers."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.clips import VP9, draw, ffmpeg
from vidrec.adapters.ffmpeg import FfmpegFrameSource, FfmpegRenderer
from vidrec.domain.errors import FailureReason, LeaseLost, StoreUnavailable, UnusableMedia
from vidrec.domain.models import MediaInfo, TimeRange
from vidrec.domain.playback import TRANSCODING, Rendering, Treatment, rendering, treatment

SOURCE = FfmpegFrameSource(max_decode_s=60, max_memory_bytes=1 << 30, max_pixels=4096 * 2304)
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def renderer(scratch: Path) -> FfmpegRenderer:
    return FfmpegRenderer(scratch=scratch, max_render_s=240, max_memory_bytes=1 << 30, max_pixels=4096 * 2304)


@pytest.fixture
def others() -> set[psutil.Process]:
    """Children of this process before the test: servers that live to the end of the run."""
    return set(psutil.Process().children())


@pytest.fixture(autouse=True)
def nothing_is_left(scratch: Path, others: set[psutil.Process]) -> Iterator[None]:
    yield
    assert set(psutil.Process().children()) <= others
    assert not scratch.exists() or list(scratch.iterdir()) == []


def made(
    renderer: FfmpegRenderer, path: Path, target: Path, how: Rendering | None = None
) -> tuple[MediaInfo, Treatment, MediaInfo]:
    """(the original, what it took, the copy), which is left at `target`."""
    info = SOURCE.probe(path)
    chosen = how or rendering(info)
    assert chosen is not None, "the original plays"
    with renderer.render(path, info, chosen, check=lambda: None) as copy:
        target.write_bytes(copy.read())
    return info, chosen.treatment, SOURCE.probe(target)


def with_sound(clip: Path, path: Path, *codec: str) -> Path:
    """The clip with a tone of its length."""
    ffmpeg("-i", clip, "-f", "lavfi", "-i", "sine=duration=6", "-c:v", "copy", *codec, path)
    return path


CASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], Treatment, str, str | None]] = {
    # name: video codec, audio codec, what it takes, video and audio codec of the copy
    "iphone.mov": (HEVC, ("-c:a", "aac"), Treatment.TRANSCODE, "h264", "aac"),
    "silent.mov": (HEVC, (), Treatment.TRANSCODE, "h264", None),
    "camera.mov": (("-bf", "2"), ("-c:a", "pcm_s16le"), Treatment.REMUX, "h264", "aac"),
    "h264.mkv": (("-bf", "2"), ("-c:a", "aac"), Treatment.REMUX, "h264", "aac"),
    "surround.mkv": (("-bf", "2"), ("-c:a", "ac3"), Treatment.REMUX, "h264", "aac"),
    "broadcast.ts": (("-bf", "2"), ("-c:a", "aac"), Treatment.REMUX, "h264", "aac"),
    "flash.flv": ((), ("-c:a", "mp3"), Treatment.REMUX, "h264", "mp3"),
    "vp9.mkv": (VP9, ("-c:a", "libopus"), Treatment.REMUX, "vp9", "opus"),
    "xvid.avi": (("-c:v", "mpeg4"), ("-c:a", "mp3"), Treatment.TRANSCODE, "h264", "aac"),
    "h264.avi": (("-bf", "2"), ("-c:a", "mp3"), Treatment.TRANSCODE, "h264", "aac"),
    "motion-jpeg.avi": (("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"), (), Treatment.TRANSCODE, "h264", None),
    "theora.ogv": (("-c:v", "libtheora"), ("-c:a", "libvorbis"), Treatment.TRANSCODE, "h264", "aac"),
    "av1.webm": (("-c:v", "libsvtav1", "-preset", "12"), (), Treatment.TRANSCODE, "h264", None),
    "ten-bits.mp4": (("-pix_fmt", "yuv420p10le", "-profile:v", "high10"), (), Treatment.TRANSCODE, "h264", None),
    "full-colour.mp4": (("-pix_fmt", "yuv444p"), (), Treatment.TRANSCODE, "h264", None),
    "lossless.mp4": (("-qp", "0"), (), Treatment.TRANSCODE, "h264", None),
    "old.wmv": (("-c:v", "wmv2"), ("-c:a", "wmav2"), Treatment.TRANSCODE, "h264", "aac"),
    "old.mpg": (("-c:v", "mpeg2video", "-r", "25"), ("-c:a", "mp2"), Treatment.TRANSCODE, "h264", "aac"),
    "animation.gif": (("-c:v", "gif"), (), Treatment.TRANSCODE, "h264", None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_copy_plays_and_shows_the_same(renderer: FfmpegRenderer, folder: Path, tmp_path: Path, name: str) -> None:
    video, sound, expected, video_codec, audio_codec = CASES[name]
    path = draw(folder / name, *video, gop=20, size="160x90")
    if sound:
        path = with_sound(path, tmp_path / name, *sound)
    info, took, copy = made(renderer, path, tmp_path / "copy")
    assert took is expected
    assert rendering(copy) is None
    assert (copy.video_codec, copy.audio_codec) == (video_codec, audio_codec)
    assert copy.pixel_format == "yuv420p"
    assert (copy.width, copy.height) == (info.width, info.height) == (160, 90)
    assert copy.duration_s == pytest.approx(info.duration_s, abs=0.35)


@pytest.mark.parametrize("name", ["phpff__Test.ogv", "phpff__portrait.MOV", "decord__flipping_a_pancake.mkv"])
def test_real_clips_get_a_copy_that_plays(renderer: FfmpegRenderer, test_data: Path, tmp_path: Path, name: str) -> None:
    info, _, copy = made(renderer, test_data / "videos" / name, tmp_path / "copy.mp4")
    assert (copy.container, copy.width, copy.height) == ("mp4", info.width, info.height)
    assert copy.duration_s == pytest.approx(info.duration_s, abs=0.3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("1920x1080", (1280, 720)), ("1080x1920", (720, 1280)), ("3000x400", (1280, 170)), ("161x91", (160, 90))],
)
def test_a_transcoded_copy_is_at_most_720p(
    renderer: FfmpegRenderer, folder: Path, tmp_path: Path, size: str, expected: tuple[int, int]
) -> None:
    path = draw(folder / f"{size}.mkv", "-c:v", "ffv1", size=size, seconds=0.5)
    _, _, copy = made(renderer, path, tmp_path / "copy.mp4")
    assert (copy.width, copy.height) == expected


@pytest.mark.parametrize("how", [None, TRANSCODING])
def test_a_rotated_video_stays_upright(
    renderer: FfmpegRenderer, folder: Path, tmp_path: Path, how: Rendering | None
) -> None:
    clip = draw(folder / "flat.mp4", size="160x90")
    path = tmp_path / "rotated.mov"
    ffmpeg("-display_rotation:v:0", "90", "-i", clip, "-c", "copy", path)
    info, _, copy = made(renderer, path, tmp_path / "copy.mp4", how)
    assert (info.width, info.height) == (copy.width, copy.height) == (90, 160)


@pytest.mark.parametrize("transfer", ["arib-std-b67", "smpte2084"])
def test_high_dynamic_range_is_mapped_to_what_every_screen_shows(
    renderer: FfmpegRenderer, folder: Path, tmp_path: Path, transfer: str
) -> None:
    tags = f"log-level=error:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    codec = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", tags)
    path = draw(folder / f"{transfer}.mov", *codec, "-tag:v", "hvc1", seconds=1)
    info, _, copy = made(renderer, path, tmp_path / "copy.mp4")
    assert (info.hdr, info.pixel_format) == (transfer, "yuv420p10le")
    assert (copy.hdr, copy.pixel_format) == (None, "yuv420p")
    [frames] = SOURCE.sample(tmp_path / "copy.mp4", copy, TimeRange(0.0, 1.0), batch=32)
    assert frames.frames.std() > 20, "it is no flat picture"


def test_wide_pixels_become_square(renderer: FfmpegRenderer, folder: Path, tmp_path: Path) -> None:
    path = draw(folder / "anamorphic.avi", "-c:v", "mpeg4", "-vf", "setsar=16/9", size="144x144")
    _, _, copy = made(renderer, path, tmp_path / "copy.mp4")
    assert (copy.width, copy.height) == (256, 144)


def test_the_index_tells_the_whole_length_so_that_browsers_can_seek(
    renderer: FfmpegRenderer, folder: Path, tmp_path: Path
) -> None:
    """One moov, no moof: not cut into fragments, whose index browsers would have to gather from all over the file."""
    made(renderer, draw(folder / "seek.avi", "-c:v", "mpeg4"), tmp_path / "copy.mp4")
    data, at, boxes = (tmp_path / "copy.mp4").read_bytes(), 0, []
    while at < len(data):
        boxes.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    assert sorted(boxes) == ["free", "ftyp", "mdat", "moov"]


def test_nothing_of_the_original_s_metadata_is_told(renderer: FfmpegRenderer, folder: Path, tmp_path: Path) -> None:
    path = draw(folder / "tagged.mkv", "-metadata", "title=secret place", "-metadata", "location=+37.5+127.0/")
    made(renderer, path, tmp_path / "copy.mp4")
    assert b"secret" not in (tmp_path / "copy.mp4").read_bytes()
    assert b"+37.5" not in (tmp_path / "copy.mp4").read_bytes()


# ------------------------------------------------------------------------------------ what may go wrong


def refusal(renderer: FfmpegRenderer, path: Path, info: MediaInfo, how: Rendering = TRANSCODING) -> FailureReason:
    with pytest.raises(UnusableMedia) as refused, renderer.render(path, info, how, check=lambda: None):
        pass
    assert str(refused.value).endswith(".")
    return refused.value.reason


@pytest.fixture
def clip(folder: Path) -> Path:
    return draw(folder / "clip.avi", "-c:v", "mpeg4", size="640x360", seconds=10)


def test_a_copy_that_would_not_play_is_none(renderer: FfmpegRenderer, folder: Path) -> None:
    path = draw(folder / "copied.mp4", "-c:v", "mpeg4")
    copying = Rendering("mp4", copy_video=True, copy_audio=True)
    assert refusal(renderer, path, SOURCE.probe(path), copying) is FailureReason.NO_DECODABLE_FRAME


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", FailureReason.EMPTY),
        (b"This is no video at all.\n" * 1000, FailureReason.NO_DECODABLE_FRAME),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nfile:///etc/passwd\n", FailureReason.NO_DECODABLE_FRAME),
    ],
)
def test_what_is_no_video_any_more_is_refused(
    renderer: FfmpegRenderer, clip: Path, tmp_path: Path, data: bytes, reason: FailureReason
) -> None:
    info = SOURCE.probe(clip)
    path = tmp_path / "other.avi"
    path.write_bytes(data)
    assert refusal(renderer, path, info) is reason
    assert refusal(renderer, tmp_path / "none.avi", info) is FailureReason.MISSING


def test_damaged_bytes_end_in_a_copy_or_a_reason(renderer: FfmpegRenderer, clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    for at in range(5000, len(data), 97):
        data[at] ^= 0x55
    path = tmp_path / "damaged.avi"
    path.write_bytes(data)
    try:
        made(renderer, path, tmp_path / "copy.mp4", TRANSCODING)
    except UnusableMedia as error:
        assert error.reason in (FailureReason.NO_DECODABLE_FRAME, FailureReason.DECODE_LIMIT)  # noqa: PT017


def test_too_much_time_and_too_much_memory_are_refused(clip: Path, scratch: Path) -> None:
    info = SOURCE.probe(clip)
    for seconds, memory in ((0.01, 1 << 30), (60, 40 << 20)):
        small = FfmpegRenderer(scratch=scratch, max_render_s=seconds, max_memory_bytes=memory, max_pixels=4096 * 2304)
        assert refusal(small, clip, info) in (FailureReason.DECODE_LIMIT, FailureReason.NO_DECODABLE_FRAME)


def test_a_copy_that_grows_too_large_is_refused(
    renderer: FfmpegRenderer, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidrec.adapters.ffmpeg.renderer._SPARE_BYTES", 1000)
    monkeypatch.setattr("vidrec.adapters.ffmpeg.renderer._BYTES_A_SECOND", 1000)
    assert refusal(renderer, clip, SOURCE.probe(clip)) is FailureReason.DECODE_LIMIT


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_file(clip: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    renderer = FfmpegRenderer(scratch=blocked, max_render_s=240, max_memory_bytes=1 << 30, max_pixels=1 << 24)
    with (
        pytest.raises(StoreUnavailable, match="no file can be made"),
        renderer.render(clip, SOURCE.probe(clip), TRANSCODING, check=lambda: None),
    ):
        pass


def after(calls: int, error: Exception) -> Callable[[], None]:
    """A check that raises from that call on."""
    left = iter(range(calls))

    def check() -> None:
        if next(left, None) is None:
            raise error

    return check


def test_the_check_ends_the_work(renderer: FfmpegRenderer, folder: Path) -> None:
    path = draw(folder / "long.avi", "-c:v", "mpeg4", size="1280x720", seconds=60, source="color")
    with (
        pytest.raises(LeaseLost),
        renderer.render(path, SOURCE.probe(path), TRANSCODING, check=after(1, LeaseLost("not ours"))),
    ):
        raise AssertionError


def test_the_child_gives_way_to_others(renderer: FfmpegRenderer, clip: Path, others: set[psutil.Process]) -> None:
    seen: set[int] = set()

    def check() -> None:
        seen.update(child.nice() for child in psutil.Process().children() if child not in others)

    with renderer.render(clip, SOURCE.probe(clip), TRANSCODING, check=check):
        pass
    assert seen == {19} or os.nice(0) > 0


def test_the_length_of_a_copy_is_that_of_the_original(renderer: FfmpegRenderer, clip: Path) -> None:
    """Else the times in the file are broken, and it is better transcoded."""
    path = clip.with_suffix(".mkv")
    draw(path)
    info = SOURCE.probe(path)
    claimed = MediaInfo(**{**{k: getattr(info, k) for k in info.__slots__}, "duration_s": 60.0})
    assert refusal(renderer, path, claimed, Rendering("mp4", copy_video=True, copy_audio=True)) is (
        FailureReason.NO_DECODABLE_FRAME
    )
    assert math.isclose(info.duration_s, 6.0, abs_tol=0.1)
    assert treatment(info) is Treatment.REMUX


@pytest.mark.skipif(sys.platform != "linux", reason="children follow their parent on Linux")
def test_a_kill_leaves_neither_child_nor_file(folder: Path, scratch: Path) -> None:
    path = draw(folder / "longer.avi", "-c:v", "mpeg4", size="1280x720", seconds=60, source="color")
    program = f"""
import sys
sys.path[:] = {sys.path!r}
from tests.contract.test_renderer import *
path = Path({str(path)!r})
renderer = FfmpegRenderer(
    scratch=Path({str(scratch)!r}), max_render_s=240, max_memory_bytes=1 << 30, max_pixels=4096 * 2304
)
def check():
    for child in psutil.Process().children():
        print(child.pid, flush=True)
with renderer.render(path, SOURCE.probe(path), TRANSCODING, check=check):
    print(0, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive
    assert list(scratch.iterdir()) == []
