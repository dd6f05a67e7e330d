"""What holds of every FrameSource."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.clips import draw
from tests.fakes.frame_source import FakeFrameSource, FakeVideo
from vidrec.adapters.ffmpeg import FfmpegFrameSource
from vidrec.application.ports import FrameSource
from vidrec.domain.errors import FailureReason, UnusableMedia
from vidrec.domain.models import SampledFrames, TimeRange

SHORT_S, LONG_S = 6.0, 1230.0

Subject = tuple[FrameSource, Path, Path, Path]
"""The source, a short video, a long one and an empty file."""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("clips")
    empty = folder / "empty.mp4"
    empty.touch()
    return (
        FfmpegFrameSource(max_decode_s=60, max_memory_bytes=1 << 30, max_pixels=4096 * 4096),
        draw(folder / "short.mp4", seconds=SHORT_S),
        draw(folder / "long.mp4", seconds=LONG_S, size="64x36", fps=5, gop=37),
        empty,
    )


@pytest.fixture(scope="module")
def fake() -> Subject:
    videos = {
        "short": FakeVideo(duration_s=SHORT_S),
        "long": FakeVideo(duration_s=LONG_S),
        "empty": FailureReason.EMPTY,
    }
    return FakeFrameSource(videos), Path("short"), Path("long"), Path("empty")


@pytest.fixture(params=["fake", "real"])
def subject(request: pytest.FixtureRequest) -> Subject:
    chosen: Subject = request.getfixturevalue(request.param)
    return chosen


def times(batches: list[SampledFrames]) -> list[float]:
    return [float(t) for b in batches for t in b.times_s]


def sample(source: FrameSource, path: Path, start_s: float, end_s: float, batch: int = 32) -> list[SampledFrames]:
    return list(source.sample(path, source.probe(path), TimeRange(start_s, end_s), batch=batch))


def test_probing_tells_what_is_in_the_file(subject: Subject) -> None:
    source, short, long, _ = subject
    assert source.probe(short).duration_s == pytest.approx(SHORT_S, abs=0.2)
    assert source.probe(long).duration_s == pytest.approx(LONG_S, abs=0.2)
    info = source.probe(short)
    assert info.width > info.height > 0
    assert info.container
    assert info.video_codec
    assert info.audio_codec is None


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_batches_are_bounded_and_in_order(subject: Subject, batch: int) -> None:
    source, short, _, _ = subject
    batches = sample(source, short, 0.0, SHORT_S, batch)
    assert all(0 < len(b.times_s) <= batch for b in batches)
    assert all(len(b.times_s) == batch for b in batches[:-1])
    assert (np.diff(times(batches)) > 0).all()
    assert times(batches)[0] >= 0.0
    assert times(batches)[-1] < SHORT_S
    assert len(times(batches)) >= 8


def test_frames_and_pictures_are_what_the_port_says(subject: Subject) -> None:
    source, short, _, _ = subject
    for b in sample(source, short, 0.0, SHORT_S):
        assert b.frames.shape == (len(b.times_s), 224, 224, 3)
        assert b.frames.dtype == np.uint8
        assert b.times_s.dtype == np.float64
        assert len(b.pictures) == len(b.times_s)
        for picture in b.pictures:
            with Image.open(io.BytesIO(picture)) as image:
                assert image.format == "JPEG"
                assert image.width <= 320
                assert image.width / image.height == pytest.approx(16 / 9, rel=0.02)


def test_each_picture_shows_its_frame(subject: Subject) -> None:
    source, short, _, _ = subject
    for b in sample(source, short, 0.0, SHORT_S):
        for frame, picture in zip(b.frames, b.pictures, strict=True):
            with Image.open(io.BytesIO(picture)) as image:
                side = image.height
                left = (image.width - side) // 2
                middle = image.crop((left, 0, left + side, side)).resize((56, 56))
            small = np.asarray(Image.fromarray(frame).resize((56, 56)), dtype=float)
            assert np.abs(small - np.asarray(middle, dtype=float)).mean() < 12


def test_sampling_again_gives_the_same(subject: Subject) -> None:
    source, short, _, _ = subject
    first, second = (sample(source, short, 0.0, SHORT_S) for _ in range(2))
    assert times(first) == times(second)
    for a, b in zip(first, second, strict=True):
        assert (a.frames == b.frames).all()
        assert list(a.pictures) == list(b.pictures)


def test_ranges_that_meet_at_a_ten_minute_mark_are_sampled_alone_as_together(subject: Subject) -> None:
    source, _, long, _ = subject
    whole = sample(source, long, 0.0, LONG_S)
    parts = [b for r in ((0.0, 600.0), (600.0, 1200.0), (1200.0, LONG_S)) for b in sample(source, long, *r)]
    assert times(parts) == times(whole)
    assert (np.concatenate([b.frames for b in parts]) == np.concatenate([b.frames for b in whole])).all()
    assert [p for b in parts for p in b.pictures] == [p for b in whole for p in b.pictures]


def test_no_ten_seconds_pass_without_a_frame(subject: Subject) -> None:
    source, _, long, _ = subject
    sampled = times(sample(source, long, 0.0, LONG_S))
    assert np.diff([0.0, *sampled, LONG_S]).max() <= 10.0 + 0.2


def test_a_range_beyond_the_end_gives_nothing(subject: Subject) -> None:
    source, short, _, _ = subject
    assert sample(source, short, 600.0, 1200.0) == []


def test_a_source_can_be_left_early(subject: Subject) -> None:
    source, short, _, _ = subject
    frames = source.sample(short, source.probe(short), TimeRange(0.0, SHORT_S), batch=1)
    assert len(next(iter(frames)).times_s) == 1
    frames.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("ask", ["probe", "sample"])
def test_an_unusable_file_is_refused_with_its_reason(subject: Subject, ask: str) -> None:
    source, short, _, empty = subject
    calls: dict[str, Callable[[], object]] = {
        "probe": lambda: source.probe(empty),
        "sample": lambda: list(source.sample(empty, source.probe(short), TimeRange(0.0, SHORT_S), batch=8)),
    }
    with pytest.raises(UnusableMedia) as refused:
        calls[ask]()
    assert refused.value.reason is FailureReason.EMPTY
    assert str(refused.value)
