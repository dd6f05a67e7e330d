"""Real files through FfmpegFrameSource: formats, broken files, hostile files, processes."""

from __future__ import annotations

import csv
import gc
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from tests.clips import VP9, draw, ffmpeg
from vidrec.adapters.ffmpeg import FfmpegFrameSource, commands
from vidrec.adapters.ffmpeg.commands import executable
from vidrec.adapters.ffmpeg.source import check_decoder
from vidrec.domain.errors import FailureReason, Unavailable, UnusableMedia
from vidrec.domain.models import MediaInfo, TimeRange

SOURCE = FfmpegFrameSource(max_decode_s=60, max_memory_bytes=1 << 30, max_pixels=4096 * 2304)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    """Six seconds of H.264 with B-frames and one keyframe a second."""
    return draw(folder / "clip.mp4", "-bf", "2", gop=10)


def decoders() -> list[psutil.Process]:
    """Children of this process, but for servers that other tests started for the whole run."""
    return [child for child in psutil.Process().children() if child not in _SERVERS]


_SERVERS: set[psutil.Process] = set()


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    _SERVERS.update(psutil.Process().children())
    yield
    assert decoders() == []


def look(
    path: Path, source: FfmpegFrameSource = SOURCE
) -> tuple[MediaInfo, npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """(what probing says, times, frames) of a whole video."""
    info = source.probe(path)
    batches = list(source.sample(path, info, TimeRange(0.0, info.duration_s), batch=32))
    return info, np.concatenate([b.times_s for b in batches]), np.concatenate([b.frames for b in batches])


def refusal(path: Path, source: FfmpegFrameSource = SOURCE) -> FailureReason:
    with pytest.raises(UnusableMedia) as refused:
        look(path, source)
    assert str(refused.value).endswith(".")
    return refused.value.reason


def every_frame(path: Path) -> npt.NDArray[np.uint8]:
    """All frames as ffmpeg decodes them one after another, scaled as samples are."""
    side = "'min(iw,ih)'"
    shape = f"crop={side}:{side}:exact=1,scale=224:224:flags=bilinear"
    command = [executable(), "-v", "error", "-i", path, "-map", "0:v:0", "-vf", shape]
    raw = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, 224, 224, 3)


FORMATS = {
    "b-frames.mp4": ("-bf", "3"),
    "open-gop.mp4": ("-bf", "2", "-x264-params", "open-gop=1"),
    "fragmented.mp4": ("-movflags", "frag_keyframe+empty_moov"),
    "apple.mov": ("-bf", "2"),
    "vp9.webm": VP9,
    "alt-ref.webm": (
        "-c:v",
        "libvpx-vp9",
        "-cpu-used",
        "8",
        "-lag-in-frames",
        "16",
        "-auto-alt-ref",
        "1",
        "-b:v",
        "100k",
    ),
    "vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime"),
    "av1.webm": ("-c:v", "libsvtav1", "-preset", "12"),
    "hevc.mkv": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    "theora.ogv": ("-c:v", "libtheora"),
    "broadcast.ts": ("-bf", "2"),
    "flash.flv": ("-bf", "2"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-bf", "2", "-r", "25"),
    "windows.wmv": ("-c:v", "wmv2"),
    "animation.gif": ("-c:v", "gif"),
    "motion-jpeg.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    "xvid.avi": ("-c:v", "mpeg4"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("gop", [8, 1000])
def test_samples_are_the_frames_that_decoding_everything_gives(folder: Path, name: str, gop: int) -> None:
    path = draw(folder / f"{gop}-{name}", *FORMATS[name], gop=gop, size="160x90")
    info, times, frames = look(path)
    assert (info.width, info.height, info.audio_codec) == (160, 90, None)
    assert info.duration_s == pytest.approx(6.0, abs=0.3)
    assert len(times) >= 8
    assert np.diff([0.0, *times, info.duration_s]).max() < 1.2
    reference = every_frame(path)
    fps = len(reference) / 6.0
    for time_s, frame in zip(times, frames, strict=True):
        difference = np.abs(reference[round(time_s * fps)].astype(int) - frame).mean()
        assert difference < 1.0, f"at {time_s:.2f} s"


@pytest.mark.parametrize("gop", [8, 1000])
def test_containers_without_presentation_times_are_sampled_too(folder: Path, gop: int) -> None:
    path = draw(folder / f"old-{gop}.avi", "-bf", "2", gop=gop)
    info, times, _ = look(path)
    assert len(times) >= 7
    assert np.diff([0.0, *times, info.duration_s]).max() < 1.6


def test_only_planned_frames_are_decoded(folder: Path) -> None:
    """Ten minutes with a keyframe every 5 s: cheap only where almost nothing is decoded."""
    path = draw(folder / "long.mp4", seconds=600.0, size="320x180", gop=50, fps=10)
    before = os.times()
    _, times, _ = look(path)
    spent = os.times().children_user - before.children_user
    before = os.times()
    subprocess.run(
        [executable(), "-v", "error", "-i", path, "-vf", "fps=1,scale=224:224", "-f", "null", "-"], check=True
    )
    assert len(times) == 120
    assert spent < (os.times().children_user - before.children_user) / 2


def test_times_count_from_the_start_of_the_video(folder: Path, clip: Path) -> None:
    path = folder / "late.ts"
    ffmpeg("-i", clip, "-c", "copy", "-output_ts_offset", "3600", path)
    info, times, _ = look(path)
    assert info.duration_s == pytest.approx(6.0, abs=0.2)
    assert times[0] < 1.0
    assert times[-1] < 6.0


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_videos_are_sampled_upright(folder: Path, clip: Path, degrees: int) -> None:
    path = folder / f"rotated-{degrees}.mp4"
    ffmpeg("-display_rotation:v:0", str(degrees), "-i", clip, "-c", "copy", path)
    info, _, frames = look(path)
    _, _, plain = look(clip)
    assert (info.width < info.height) == (degrees != 180)
    turned = np.rot90(plain, degrees // 90, axes=(1, 2))
    assert np.abs(turned.astype(int) - frames).mean() < 8


def test_wide_pixels_are_shown_wide(folder: Path) -> None:
    path = draw(folder / "anamorphic.mp4", "-vf", "setsar=16/9", size="144x144")
    info, _, _ = look(path)
    assert (info.width, info.height) == (256, 144)


@pytest.mark.parametrize("size", ["2x900", "900x2", "16x16"])
def test_any_shape_of_frame_is_sampled(folder: Path, size: str) -> None:
    _, times, frames = look(draw(folder / f"{size}.mkv", size=size, source="color", seconds=2))
    assert len(times) >= 8
    assert frames.shape[1:] == (224, 224, 3)


def test_a_size_that_changes_on_the_way_is_no_end(folder: Path) -> None:
    parts = [draw(folder / f"part{i}.ts", size=size, gop=5) for i, size in enumerate(["128x72", "256x144"])]
    path = folder / "changing.ts"
    ffmpeg("-i", f"concat:{parts[0]}|{parts[1]}", "-c", "copy", path)
    info, times, _ = look(path)
    assert info.duration_s == pytest.approx(12.0, abs=0.5)
    assert times[-1] > 10.0


def test_a_single_frame_is_a_video(folder: Path) -> None:
    for name in ("one.gif", "one.mp4"):
        codec = ("-c:v", "gif") if name.endswith("gif") else ()
        _, times, _ = look(draw(folder / name, *codec, "-frames:v", "1"))
        assert list(times) == [0.0]


def test_the_length_is_the_video_stream_s_own(folder: Path, clip: Path) -> None:
    path = folder / "long-sound.mp4"
    ffmpeg("-i", clip, "-f", "lavfi", "-i", "sine=duration=90", "-c:v", "copy", "-c:a", "aac", path)
    info, times, _ = look(path)
    assert info.duration_s == pytest.approx(6.0, abs=0.2)
    assert info.audio_codec == "aac"
    assert len(times) >= 8


def test_a_length_that_is_not_told_is_measured(folder: Path, clip: Path) -> None:
    path = folder / "live.mkv"
    with open(path, "wb") as file:
        subprocess.run(
            [executable(), "-v", "error", "-i", clip, "-c", "copy", "-f", "matroska", "-live", "1", "-"],
            stdout=file,
            check=True,
        )
    info, times, _ = look(path)
    assert info.duration_s == pytest.approx(6.0, abs=0.2)
    assert len(times) >= 8


@pytest.mark.parametrize("name", ["cut.mp4", "cut.webm"])
def test_what_is_left_of_a_cut_file_is_sampled(folder: Path, name: str) -> None:
    codec = VP9 if name.endswith("webm") else ("-movflags", "faststart")
    whole = draw(folder / f"whole-{name}", *codec, gop=10, seconds=20)
    path = folder / name
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    info, times, _ = look(path)
    assert 5.0 < info.duration_s < 15.0
    assert len(times) >= 8
    assert times[-1] < info.duration_s


@pytest.mark.parametrize("seed", range(3))
def test_damaged_bytes_end_in_frames_or_a_reason(folder: Path, clip: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(clip.read_bytes())
    for at in random.integers(0, len(data), 200):
        data[at] = random.integers(0, 256)
    path = folder / f"damaged-{seed}.mp4"
    path.write_bytes(data)
    frames, reason = None, None
    try:
        _, _, frames = look(path)
    except UnusableMedia as error:
        reason = error.reason
    assert frames is not None or reason in REASONS["zero frames"] | REASONS["unprobeable"]


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "100%d.mp4", "a:b.mp4", "two\nlines.mp4", "file:x", "жük .mp4", "a'b\"c.mp4"]
)
def test_names_are_never_read_as_anything_else(folder: Path, clip: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(clip.read_bytes())
    _, times, _ = look(path)
    assert len(times) >= 8


def test_a_text_is_no_video(folder: Path) -> None:
    path = folder / "text.mp4"
    path.write_text("This is no video at all.\n" * 100)
    assert refusal(path) is FailureReason.NOT_A_VIDEO


def test_an_empty_file_is_called_empty(folder: Path) -> None:
    path = folder / "empty.webm"
    path.touch()
    assert refusal(path) is FailureReason.EMPTY


def test_sound_alone_is_no_video(folder: Path, clip: Path) -> None:
    path = folder / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=3", path)
    assert refusal(path) is FailureReason.NO_VIDEO_STREAM


def test_a_cover_picture_is_no_video(folder: Path) -> None:
    cover = folder / "cover.png"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64", "-frames:v", "1", cover)
    path = folder / "song.m4a"
    ffmpeg(
        "-f", "lavfi", "-i", "sine=duration=3", "-i", cover, "-c:v", "copy", "-disposition:v:0", "attached_pic", path
    )
    assert refusal(path) is FailureReason.NO_VIDEO_STREAM


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{clip}\n#EXT-X-ENDLIST\n"),
        ("dash.mp4", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>'),
        ("concat.mp4", "ffconcat version 1.0\nfile '{clip}'\n"),
        ("sdp.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_a_file_that_points_to_others_is_no_video(folder: Path, clip: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text.format(clip=clip.as_uri()))
    assert refusal(path) is FailureReason.NOT_A_VIDEO


def test_a_small_file_with_huge_frames_is_refused(folder: Path) -> None:
    path = draw(folder / "bomb.mp4", size="8192x8192", source="color", fps=1, seconds=2)
    assert path.stat().st_size < 500_000
    assert refusal(path) is FailureReason.TOO_LARGE


def test_what_is_no_file_is_refused(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.mp4")
    assert refusal(tmp_path / "none.mp4") is FailureReason.MISSING
    assert refusal(tmp_path) is FailureReason.UNREADABLE
    assert refusal(pipe) is FailureReason.UNREADABLE


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "private.mp4"
    path.write_bytes(clip.read_bytes())
    path.chmod(0)
    assert refusal(path) is FailureReason.UNREADABLE


def test_decoding_for_too_long_is_refused(clip: Path) -> None:
    hasty = FfmpegFrameSource(max_decode_s=0.01, max_memory_bytes=1 << 30, max_pixels=1 << 24)
    assert refusal(clip, hasty) is FailureReason.DECODE_LIMIT


def test_needing_too_much_memory_is_refused(folder: Path) -> None:
    path = draw(folder / "large.mp4", size="4096x2304", seconds=1)
    small = FfmpegFrameSource(max_decode_s=10, max_memory_bytes=256 << 20, max_pixels=1 << 26)
    assert refusal(path, small) is FailureReason.DECODE_LIMIT


@pytest.mark.parametrize(
    ("script", "complaint"), [("exit 1", "does not run"), ("echo 'ffmpeg version 4.4.1 Copyright'", "too old")]
)
def test_an_unfit_ffmpeg_is_no_fault_of_the_file(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, script: str, complaint: str
) -> None:
    unfit = tmp_path / "ffmpeg"
    unfit.write_text(f"#!/bin/sh\n{script}\n")
    unfit.chmod(0o755)
    monkeypatch.setattr(commands, "executable", lambda: str(unfit))
    check_decoder.cache_clear()
    with pytest.raises(Unavailable, match=complaint):
        SOURCE.probe(clip)


@pytest.mark.full
def test_a_two_hour_video_takes_no_more_memory_than_a_short_one(folder: Path) -> None:
    part = draw(folder / "part.mp4", seconds=60.0, size="640x360", fps=25, gop=125)
    path = folder / "two-hours.mp4"
    ffmpeg("-stream_loop", "119", "-i", part, "-c", "copy", path)
    info, me = SOURCE.probe(path), psutil.Process()
    used, before = 0, me.memory_info().rss
    for b in SOURCE.sample(path, info, TimeRange(0.0, info.duration_s), batch=32):
        assert len(b.times_s) <= 32
        used = max(used, sum(p.memory_info().rss for p in (me, *decoders())) - before)
    assert info.duration_s == pytest.approx(7200.0, abs=1.0)
    assert used < 200 << 20


def test_leaving_early_ends_the_child(clip: Path) -> None:
    frames = SOURCE.sample(clip, SOURCE.probe(clip), TimeRange(0.0, 6.0), batch=1)
    next(frames)
    assert len(decoders()) == 1
    frames.close()
    assert decoders() == []


def test_forgetting_the_iterator_ends_the_child(clip: Path) -> None:
    frames = SOURCE.sample(clip, SOURCE.probe(clip), TimeRange(0.0, 6.0), batch=1)
    next(frames)
    del frames
    gc.collect()
    assert decoders() == []


def test_many_can_be_sampled_at_once(clip: Path) -> None:
    info = SOURCE.probe(clip)
    iterators = [SOURCE.sample(clip, info, TimeRange(0.0, 6.0), batch=1) for _ in range(5)]
    rounds = list(itertools.zip_longest(*iterators))
    assert all(len({float(b.times_s[0]) for b in together}) == 1 for together in rounds)


@pytest.mark.skipif(sys.platform != "linux", reason="children follow their parent on Linux")
def test_no_child_outlives_a_killed_process(clip: Path) -> None:
    program = f"""
import sys, time
sys.path[:] = {sys.path!r}
from tests.contract.test_ffmpeg import *
frames = SOURCE.sample(Path({str(clip)!r}), SOURCE.probe(Path({str(clip)!r})), TimeRange(0.0, 6.0), batch=1)
next(frames)
print(psutil.Process().children()[0].pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


def labelled(name: str) -> list[dict[str, str]]:
    folder = Path(os.environ.get("VIDREC_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    labels = folder / f"{name}_labels.csv"
    if not labels.is_file():
        return []
    with open(labels, newline="") as file:
        return [{**row, "path": str(folder / name / row["file"])} for row in csv.DictReader(file)]


def name_of(row: dict[str, str]) -> str:
    return row["file"]


@pytest.mark.parametrize("row", labelled("videos"), ids=name_of)
def test_real_clips(row: dict[str, str]) -> None:
    info, times, _ = look(Path(row["path"]))
    assert info.video_codec == row["vcodec"]
    assert info.duration_s <= float(row["duration_s"]) + 0.1, "the sound may be longer"
    assert (info.audio_codec is not None) == (row["audio"] != "0")
    assert len(times) >= min(8, int(row["frames"]))
    assert np.diff([0.0, *times, info.duration_s]).max() <= 10.2


REASONS = {
    "zero frames": {FailureReason.NO_DECODABLE_FRAME, FailureReason.TOO_LARGE, FailureReason.NO_VIDEO_STREAM},
    "audio-only": {FailureReason.NO_VIDEO_STREAM},
    "unprobeable": {FailureReason.NOT_A_VIDEO, FailureReason.NO_VIDEO_STREAM},
}


@pytest.mark.parametrize("row", labelled("broken"), ids=name_of)
def test_broken_files_end_in_frames_or_a_reason(row: dict[str, str]) -> None:
    expected = REASONS.get(row["observed_with_ffmpeg_5.1"])
    if expected:
        assert refusal(Path(row["path"])) in expected
    else:
        _, times, _ = look(Path(row["path"]))
        assert len(times) >= min(8, int(row["frames"])) // 2
