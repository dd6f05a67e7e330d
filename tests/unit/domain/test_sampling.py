"""The two rules of sampling hold whatever the keyframes are, and cost as little as they can."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrec.domain.models import TimeRange
from vidrec.domain.sampling import Plan, chunks_within, interval_s, plan, reach_s, slots

FPS = 25


def planned(duration_s: float, gop: int, *, fps: float = FPS) -> tuple[npt.NDArray[np.float64], Plan]:
    """(frame times, plan) of a video with a keyframe every `gop` frames."""
    n = max(1, round(duration_s * fps))
    times = np.arange(n) / fps
    return times, plan(times, np.arange(n) % gop == 0, TimeRange(0.0, duration_s), duration_s)


@given(
    duration_s=st.floats(min_value=0.4, max_value=600),
    gop=st.integers(min_value=1, max_value=2000),
    fps=st.sampled_from([10.0, 24 / 1.001, 25.0, 60.0]),
)
def test_no_moment_is_far_from_a_sampled_frame(duration_s: float, gop: int, fps: float) -> None:
    times, chosen = planned(duration_s, gop, fps=fps)
    sampled, reach, frame_s = times[chosen.sample], reach_s(duration_s), 1 / fps
    assert sampled[0] <= reach + frame_s
    assert np.diff(np.append(sampled, duration_s)).max() <= 2 * reach + frame_s


@given(gop=st.integers(min_value=1, max_value=500), cut=st.floats(min_value=700, max_value=1200))
def test_no_gap_opens_between_chunks(gop: int, cut: float) -> None:
    times = np.arange(0, cut, 1 / FPS)
    keys = np.arange(len(times)) % gop == 7 % gop
    keys[0] = True
    sampled = [t for chunk in chunks_within(TimeRange(0.0, cut)) for t in times[plan(times, keys, chunk, cut).sample]]
    assert np.diff([*sampled, cut]).max() <= 10.0 + 1 / FPS


@given(
    gaps=st.lists(st.floats(min_value=0.001, max_value=30), min_size=1, max_size=200),
    seed=st.integers(min_value=0, max_value=2**32 - 1),
)
def test_any_packets_give_increasing_times_and_decode_what_they_sample(gaps: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    times = random.permutation(np.cumsum(gaps))
    times[random.random(len(times)) < 0.1] = np.nan
    within = TimeRange(0.0, 600.0)
    keys = random.random(len(times)) < 0.3
    chosen = plan(times, keys, within, 600.0)
    sampled = times[chosen.sample]
    assert (np.diff(sampled) > 0).all()
    assert ((sampled >= within.start_s) & (sampled < within.end_s)).all()
    assert chosen.decode[chosen.sample].all()
    assert len(sampled) or not (keys & (times < 600.0)).any()


@pytest.mark.parametrize("duration_s", [0.4, 1.0, 3.0, 7.9, 8.0, 30.0, 79.0, 600.0])
@pytest.mark.parametrize("gop", [1, 12, 250, 100_000])
def test_at_least_eight_frames_and_one_in_ten_seconds(duration_s: float, gop: int) -> None:
    times, chosen = planned(duration_s, gop)
    sampled = times[chosen.sample]
    assert len(sampled) >= 8
    assert np.diff(np.concatenate(([0.0], sampled, [duration_s]))).max() <= 10.0


@pytest.mark.parametrize("duration_s", [0.04, 0.2])
def test_a_video_of_few_frames_gives_them_all(duration_s: float) -> None:
    times, chosen = planned(duration_s, gop=1)
    assert list(chosen.sample) == list(range(len(times)))


def test_dense_keyframes_are_all_that_is_decoded() -> None:
    _, chosen = planned(600.0, gop=5 * FPS)
    assert chosen.decode.sum() == len(chosen.sample) == 120


def test_denser_keyframes_than_wanted_are_left_out() -> None:
    _, chosen = planned(600.0, gop=FPS)
    assert chosen.decode.sum() == len(chosen.sample) == 120


def test_keyframes_just_too_far_apart_cost_a_little_more() -> None:
    """10.4 s, as x264 makes them of 24 frames a second unless told otherwise."""
    times, chosen = planned(600.0, gop=260)
    assert chosen.decode.sum() < len(times) / 20


def test_a_single_keyframe_is_decoded_from_there_on() -> None:
    _, chosen = planned(20.0, gop=100_000)
    assert chosen.decode[: chosen.sample.max() + 1].all()
    assert len(chosen.sample) >= 12, "frames that are decoded anyway are sampled too"


def test_frames_before_the_range_are_decoded_where_needed_and_never_sampled() -> None:
    times = np.arange(0, 1200, 0.5)
    keys = np.isin(times, [590.0, 602.0, 612.0])
    chosen = plan(times, keys, TimeRange(600.0, 620.0), 1200.0)
    assert times[chosen.sample].min() >= 600.0
    assert chosen.decode[times == 590.0].all() == bool(times[chosen.sample].min() < 602.0)


def test_frames_shown_before_their_keyframe_need_the_one_before_it_too() -> None:
    """An open group of pictures: in decoding order I P B, I B B, where the last two are shown before the second I."""
    times = np.array([0.0, 2.0, 1.0, 5.0, 3.0, 4.0])
    keys = np.array([True, False, False, True, False, False])
    chosen = plan(times, keys, TimeRange(3.0, 5.0), 16.0)
    assert list(times[chosen.sample]) == [3.0]
    assert list(chosen.decode) == [True] * 5 + [False]
    assert not len(plan(times[3:], keys[3:], TimeRange(3.0, 5.0), 16.0).sample)


def test_nothing_in_the_range_gives_an_empty_plan() -> None:
    chosen = plan(np.array([1.0, 2.0]), np.array([True, True]), TimeRange(600.0, 700.0), 700.0)
    assert not len(chosen.sample)
    assert not chosen.decode.any()


def test_no_packets_give_an_empty_plan() -> None:
    chosen = plan(np.array([]), np.array([], dtype=bool), TimeRange(0.0, 10.0), 10.0)
    assert not len(chosen.sample)
    assert not len(chosen.decode)


def test_sampling_restarts_at_ten_minute_marks() -> None:
    whole = list(chunks_within(TimeRange(0.0, 1500.0)))
    assert whole == [TimeRange(0.0, 600.0), TimeRange(600.0, 1200.0), TimeRange(1200.0, 1500.0)]
    parts = [c for r in (TimeRange(0.0, 600.0), TimeRange(600.0, 1500.0)) for c in chunks_within(r)]
    assert parts == whole
    assert list(chunks_within(TimeRange(5.0, 5.0))) == []


@given(duration_s=st.floats(min_value=0.01, max_value=20_000))
def test_slots_cover_the_range_and_are_short_enough(duration_s: float) -> None:
    for chunk in chunks_within(TimeRange(0.0, duration_s)):
        edges = slots(chunk, duration_s)
        assert edges[0] == chunk.start_s
        assert edges[-1] == chunk.end_s
        assert np.diff(edges).max() <= interval_s(duration_s) + 1e-6


@pytest.mark.parametrize(("duration_s", "expected"), [(1.0, 0.125), (6.0, 0.5), (40.0, 2.5), (7200.0, 5.0), (0.0, 5.0)])
def test_intervals_follow_the_length(duration_s: float, expected: float) -> None:
    assert interval_s(duration_s) == pytest.approx(expected)
